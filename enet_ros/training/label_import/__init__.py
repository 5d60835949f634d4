"""Exports of labeling tools to pairs of folders: CVAT, Label Studio and labelme."""
