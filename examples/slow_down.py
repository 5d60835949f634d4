"""Example of the next node in line: it slows a robot down by what enet_ros sees.

It passes cmd_vel_in on to cmd_vel, at a speed that falls to 0 before ground that is not drivable.
It stops for whatever it does not know: no frame, an old one, no calibration, no command. Copy it
with slow_down_logic.py. docs/downstream.md explains it. It is no safety system.
"""

import math
import signal
import sys
import time
from functools import partial

import rclpy
from cv_bridge import CvBridge
from enet_ros.msg import DrivableArea
from geometry_msgs.msg import Twist
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py.point_cloud2 import read_points_numpy
from slow_down_logic import ExactStamps, allowed_velocity, first_in_path, is_fresh, speed_factor

try:
    from message_filters import Subscriber, TimeSynchronizer
except ImportError:  # ExactStamps does the same.
    TimeSynchronizer = None

TOPICS = ((DrivableArea, 'enet/drivable_area'), (Image, 'enet/drivable_mask'),
          (Image, 'enet/labels'), (PointCloud2, 'enet/points'))
UNKNOWN = 255  # in enet/labels
PERIOD_SEC = 0.05


class SlowDown(Node):
    """Publishes cmd_vel at a fixed rate; every reason to stop is a factor of 0."""

    def __init__(self, **arguments):
        super().__init__('slow_down', **arguments)
        self.stop_m = self.declare_parameter('stop_distance', 4.0).value
        self.slow_m = self.declare_parameter('slow_distance', 10.0).value
        self.path_width_m = self.declare_parameter('path_width', 2.0).value
        self.timeout_sec = self.declare_parameter('timeout', 0.5).value
        if not (0.0 < self.stop_m < self.slow_m and self.timeout_sec > 0.0):
            raise ValueError(f'stop_distance is {self.stop_m}, slow_distance {self.slow_m} and '
                             f'timeout {self.timeout_sec}, wanted 0 < stop_distance < '
                             'slow_distance and 0 < timeout')
        self.bridge = CvBridge()
        self.command, self.commanded_sec = Twist(), -math.inf
        self.distance_m, self.seen_sec, self.stamp = math.nan, -math.inf, None
        self.publisher = self.create_publisher(Twist, 'cmd_vel', 1)
        self.create_subscription(Twist, 'cmd_vel_in', self.on_command, 1)
        self.synchronize()
        # Not the node's clock: simulated time may stand still, and the robot must stop then.
        self.create_timer(PERIOD_SEC, self.on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def synchronize(self):
        """Have on_frame called with the four messages of each frame."""
        if TimeSynchronizer is None:
            self.frames = ExactStamps(len(TOPICS), self.on_frame)
            for index, (kind, topic) in enumerate(TOPICS):
                self.create_subscription(kind, topic, partial(self.frames.add, index), 1)
        else:
            self.frames = TimeSynchronizer([Subscriber(self, *topic) for topic in TOPICS], 5)
            self.frames.registerCallback(self.on_frame)

    def on_frame(self, area, mask, labels, cloud):
        """Find how far ahead is free. Both ways of reading it must agree that it is."""
        drivable = self.bridge.imgmsg_to_cv2(mask, 'passthrough') > 0
        known = self.bridge.imgmsg_to_cv2(labels, 'passthrough') != UNKNOWN
        # Not reshape_organized_cloud=True: it swaps width and height.
        points = read_points_numpy(cloud, ('x', 'y', 'z')).reshape(cloud.height, cloud.width, 3)
        own = first_in_path(points, ~(drivable & known), self.path_width_m)
        edge = area.nearest_edge
        self.distance_m = math.nan if math.isnan(edge) else min(edge, own)
        self.stamp, self.seen_sec = Time.from_msg(area.header.stamp), time.monotonic()

    def on_command(self, command):
        """Take the command of the planner."""
        self.command, self.commanded_sec = command, time.monotonic()

    def reason_to_stop(self) -> str:
        """Return why the robot must stand still, or nothing."""
        now = time.monotonic()
        if now - self.commanded_sec > self.timeout_sec:
            return 'no command on cmd_vel_in'
        if now - self.seen_sec > self.timeout_sec:
            return 'no frame on ' + ', '.join(topic for _, topic in TOPICS)
        age_sec = (self.get_clock().now().nanoseconds - self.stamp.nanoseconds) / 1e9
        if not is_fresh(age_sec, self.timeout_sec):
            return f"the frame is {age_sec:.3f} s old by this node's clock (use_sim_time?)"
        return 'unknown ground ahead' if math.isnan(self.distance_m) else ''

    def on_timer(self):
        """Publish what is allowed."""
        reason, command = self.reason_to_stop(), Twist()
        if reason:
            self.get_logger().warning(f'stopped: {reason}', throttle_duration_sec=5.0)
        else:
            factor = speed_factor(self.distance_m, self.stop_m, self.slow_m)
            command.linear.x, command.angular.z = allowed_velocity(
                self.command.linear.x, self.command.angular.z, factor)
        self.publisher.publish(command)


def main():
    """Run the node until SIGINT or SIGTERM, and stop the robot then."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        node = SlowDown()
    except ValueError as error:
        sys.exit(f'slow_down: {error}')
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.publisher.publish(Twist())
        rclpy.shutdown()


if __name__ == '__main__':
    main()
