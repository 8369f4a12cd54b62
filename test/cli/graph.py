"""What nodes publish, subscribe to and serve, as the graph says; and what policies allow."""

from pathlib import Path
import time
from xml.etree import ElementTree

#: How a policy names a thing that a node does.
RULES = ('publish', 'subscribe', 'reply', 'request', 'execute', 'call')
_ACTION = '/_action/'
PATIENCE_S = 120.0
#: How long one participant looks [s].
ONE_LOOK_S = 20.0


def read_graph(node, name):
    """
    Return what a node does, by rule: full names.

    :param node: of rclpy, which looks on.
    :param name: of the node in ``/``.
    """
    topics = {
        'publish': node.get_publisher_names_and_types_by_node(name, '/'),
        'subscribe': node.get_subscriber_names_and_types_by_node(name, '/'),
        'reply': node.get_service_names_and_types_by_node(name, '/'),
        'request': node.get_client_names_and_types_by_node(name, '/'),
    }
    found = {rule: {topic for topic, _ in names} for rule, names in topics.items()}
    for rule, action_rule in (('reply', 'execute'), ('request', 'call')):
        found[action_rule] = {n.split(_ACTION)[0] for n in found[rule] if _ACTION in n}
    return {rule: {n for n in names if _ACTION not in n} for rule, names in found.items()}


def wait_for_graph(name, least):
    """
    Wait until a node does all of ``least``, and nothing new for a while; return what it does.

    A participant that joins while others start may never hear of all that another one does
    (Fast DDS 3.2); the next one does, so that a new one looks every few seconds.

    :param name: of the node in ``/``.
    :param least: full names, by rule.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        graph = _look(name, least)
        missing = {rule: names - graph[rule] for rule, names in least.items()}
        if not any(missing.values()):
            return graph
        assert time.monotonic() < deadline_s, f'{name} does not what its policy allows: {missing}'


def _look(name, least):
    """Return what a new participant sees of a node when it changes no more, or in the end."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    onlooker = rclpy.create_node('onlooker', context=context)
    try:
        deadline_s = time.monotonic() + ONE_LOOK_S
        last, since_s = {rule: set() for rule in RULES}, 0.0
        while time.monotonic() < deadline_s:
            if (name, '/') in onlooker.get_node_names_and_namespaces():
                graph = read_graph(onlooker, name)
                if graph != last:
                    last, since_s = graph, time.monotonic()
                is_whole = all(names <= graph[rule] for rule, names in least.items())
                if is_whole and time.monotonic() - since_s > 2.0:
                    break
            time.sleep(0.2)
        return last
    finally:
        onlooker.destroy_node()
        rclpy.shutdown(context=context)


def read_policy(path):
    """Return what a policy allows, by node and rule: full names."""
    allowed = {}
    for profile in ElementTree.parse(Path(path)).getroot().iter('profile'):
        name = profile.attrib['node']
        rules = {rule: set() for rule in RULES}
        for group in profile:
            for rule, value in group.attrib.items():
                assert (rule in RULES, value) == (True, 'ALLOW')
                rules[rule] |= {expand(item.text, name) for item in group}
        allowed[name] = rules
    return allowed


def expand(text, node):
    """Return the full name of a topic in a policy of the namespace ``/``."""
    return text.replace('~', f'/{node}', 1) if text.startswith('~') else '/' + text.lstrip('/')


def make_policy(enclave, graphs):
    """
    Write the policy that allows what nodes do.

    :param enclave: its path, as in ``/roma``.
    :param graphs: what each node does, by its name.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<policy version="0.2.0">', '  <enclaves>']
    lines += [f'    <enclave path="{enclave}">', '      <profiles>']
    for name, graph in sorted(graphs.items()):
        lines.append(f'        <profile ns="/" node="{name}">')
        for rule in RULES:
            kind = {'p': 'topic', 's': 'topic', 'r': 'service'}.get(rule[0], 'action')
            if not graph[rule]:
                continue
            lines.append(f'          <{kind}s {rule}="ALLOW">')
            for full in sorted(graph[rule]):
                private = full.startswith(f'/{name}/')
                text = '~' + full.removeprefix(f'/{name}') if private else full.lstrip('/')
                lines.append(f'            <{kind}>{text}</{kind}>')
            lines.append(f'          </{kind}s>')
        lines.append('        </profile>')
    lines += ['      </profiles>', '    </enclave>', '  </enclaves>', '</policy>']
    return '\n'.join(lines) + '\n'
