"""ROS 2, and nothing else: the only room that knows rclpy and the messages."""
