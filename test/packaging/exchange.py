"""Exchange messages between two processes: ``exchange.py robot``, ``exchange.py operator``."""

import sys

import rclpy
from rclpy.action import ActionClient, ActionServer
from rclpy.node import Node
from roma_ros.action import Ask
from roma_ros.msg import Highlight, Utterance
from roma_ros.srv import AddInstruction

PATIENCE_S = 30.0


def run_robot() -> None:
    """Publish, serve and answer until this process is ended."""
    node = rclpy.create_node('robot')
    utterances = node.create_publisher(Utterance, 'utterance', 10)
    highlights = node.create_publisher(Highlight, 'highlight', 10)

    def publish() -> None:
        utterances.publish(Utterance(text='grüß dich', kind=Utterance.KIND_ALERT, id=7))
        highlights.publish(Highlight(state=Highlight.STATE_END, score=0.5))

    def add(request: AddInstruction.Request, response: AddInstruction.Response) -> object:
        response.success = True
        response.id = request.text.upper()
        return response

    def answer(goal: object) -> Ask.Result:
        goal.publish_feedback(Ask.Feedback(text='a dog'))
        goal.succeed()
        return Ask.Result(answer=goal.request.question + ' a dog')

    node.create_timer(0.1, publish)
    node.create_service(AddInstruction, 'add_instruction', add)
    _server = ActionServer(node, Ask, 'ask', answer)
    print('ready', flush=True)
    rclpy.spin(node)


def run_operator() -> None:
    """Get one of each, and print them."""
    node = rclpy.create_node('operator')
    received = {}
    for kind in (Utterance, Highlight):
        name = kind.__name__
        node.create_subscription(
            kind, name.lower(), lambda message, name=name: received.update({name: message}), 10
        )
    client = node.create_client(AddInstruction, 'add_instruction')
    action = ActionClient(node, Ask, 'ask')
    if not client.wait_for_service(PATIENCE_S) or not action.wait_for_server(PATIENCE_S):
        sys.exit('the robot was not found')
    added = wait_for(node, client.call_async(AddInstruction.Request(text='doorbell')))
    goal = wait_for(node, action.send_goal_async(Ask.Goal(question='what?')))
    answer = wait_for(node, goal.get_result_async()).result
    while len(received) < 2:
        rclpy.spin_once(node, timeout_sec=PATIENCE_S)
    print(received['Utterance'].text, received['Highlight'].score, added.id, answer.answer)


def wait_for(node: Node, future: object) -> object:
    """Return the result of a call."""
    rclpy.spin_until_future_complete(node, future, timeout_sec=PATIENCE_S)
    if not future.done():
        sys.exit('the robot did not answer')
    return future.result()


if __name__ == '__main__':
    rclpy.init()
    {'robot': run_robot, 'operator': run_operator}[sys.argv[1]]()
