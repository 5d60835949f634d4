"""Hides from every Python process what the rclpy of Humble (3.3) lacks."""

import sys

import rclpy.service

del rclpy.service.Service.service_name  # srv_name is there
sys.modules['rclpy.parameter_client'] = None
