"""Exports of labelling tools to pairs of folders: CVAT, Label Studio and labelme."""
