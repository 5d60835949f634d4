"""For pip: the network, files, training and command line without ROS. colcon uses CMake."""

from setuptools import setup

setup()
