"""Image and video files, read and written as RGB frames."""

from enet_ros.media.files import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    SourceError,
    check_is_media,
    existing,
    is_hidden,
    is_video,
    list_images,
    list_unread,
    list_videos,
    read_bytes,
)
from enet_ros.media.images import (
    StoredImage,
    as_shown,
    decode_image_file,
    open_image,
    read_image,
    write_image,
)
from enet_ros.media.orientation import orient
from enet_ros.media.videos import Video, VideoWriter, read_frames

__all__ = [
    'IMAGE_SUFFIXES',
    'VIDEO_SUFFIXES',
    'SourceError',
    'StoredImage',
    'Video',
    'VideoWriter',
    'as_shown',
    'check_is_media',
    'decode_image_file',
    'existing',
    'is_hidden',
    'is_video',
    'list_images',
    'list_unread',
    'list_videos',
    'open_image',
    'orient',
    'read_bytes',
    'read_frames',
    'read_image',
    'write_image',
]
