"""Lets irctest start crc: one server, or a chain of three whose ends its clients use in turn.

scripts/irctest puts this folder on the module path and sets CRC_IRCTEST_BIN and
CRC_IRCTEST_SERVERS.
"""

import json
import os
import subprocess
import time

from irctest.basecontrollers import BaseServerController, DirectoryBasedController
from irctest.cases import BaseServerTestCase
from irctest.runner import NotImplementedByController
from irctest.specifications import Capabilities, OptionalBehaviors

CRC = os.environ["CRC_IRCTEST_BIN"]
SERVER_COUNT = int(os.environ.get("CRC_IRCTEST_SERVERS", "1"))
ADDRESS = "127.0.0.1"
DEADLINE_SECONDS = 20
# irctest expects this name and this text of every server.
NAME, INFO = "My.Little.Server", "test server"
# How long a line may take from one end of the chain to the other.
CHAIN_DELAY_SECONDS = 0.05


class CrcController(BaseServerController, DirectoryBasedController):
    software_name = "crc"
    supported_sasl_mechanisms = set()
    supports_sts = False
    sync_sleep_time = CHAIN_DELAY_SECONDS if SERVER_COUNT > 1 else 0.0
    # A test of one of these fails instead of being skipped if crc lacks it.
    capabilities = frozenset(
        {
            Capabilities.BATCH,
            Capabilities.ECHO_MESSAGE,
            Capabilities.LABELED_RESPONSE,
            Capabilities.MESSAGE_TAGS,
            Capabilities.MULTI_PREFIX,
            Capabilities.SERVER_TIME,
        }
    )
    optional_behaviors = frozenset(
        {
            OptionalBehaviors.CAP_REQ_MINUS,
            OptionalBehaviors.ELIST_M,
            OptionalBehaviors.ELIST_N,
            OptionalBehaviors.ELIST_U,
            OptionalBehaviors.MULTI_JOIN,
            OptionalBehaviors.MULTI_NAMES_COMMAND,
            OptionalBehaviors.MULTI_PRIVMSG,
        }
    )
    isupport = {"CASEMAPPING": "ascii", "CHANTYPES": "#", "PREFIX": "", "UTF8ONLY": None, "WHOX": None}

    def __init__(self, test_config):
        super().__init__(test_config)
        self.processes = []
        self.ports = []
        self.client_count = 0

    def run(
        self,
        hostname,
        port,
        *,
        password,
        ssl,
        run_services,
        faketime,
        websocket_hostname,
        websocket_port,
    ):
        del hostname, faketime
        if password is not None:
            raise NotImplementedByController("a password of the server")
        if run_services:
            raise NotImplementedByController("services")
        if websocket_hostname is not None or websocket_port is not None:
            raise NotImplementedByController("IRC over WebSocket")
        if ssl:
            raise NotImplementedByController("TLS in this script")
        self.create_config()
        self.port, self.port_open = port, True
        parent = None
        for index in range(SERVER_COUNT):
            parent, irc_port = self.start_server(index, port if index == 0 else 0, parent)
            self.ports.append(irc_port)
        self.proc = self.processes[0]
        if SERVER_COUNT > 1:
            self.wait_for_chain()

    def start_server(self, index, irc_port, parent):
        """Starts a server, and returns the ports of its CRC and IRC listeners."""
        command = [CRC, "server", "--name", NAME, "--info", INFO, "--log", "warn"]
        command += ["--listen", f"crc://{ADDRESS}:0", "--listen", f"irc://{ADDRESS}:{irc_port}"]
        command += ["--control", str(self.control_path(index))]
        if parent is not None:
            command += ["--parent", f"{ADDRESS}:{parent}"]
        process = self.execute(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        ports = {}
        while ports.keys() != {"crc", "irc"}:
            words = process.stdout.readline().split()
            if not words:
                raise RuntimeError(f"{' '.join(command)} ended")
            if words[0] == "listening":
                ports[words[1]] = int(words[2].rpartition(":")[2])
        return ports["crc"], ports["irc"]

    def control_path(self, index):
        return self.directory / f"control-{index}"

    def wait_for_chain(self):
        """Waits until each end knows all servers."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        for index in (0, SERVER_COUNT - 1):
            while self.other_server_count(index) < SERVER_COUNT - 1:
                if time.monotonic() > deadline:
                    raise RuntimeError("the servers have not joined each other")
                time.sleep(0.01)

    def other_server_count(self, index):
        command = [CRC, "ctl", "--json", "--control", str(self.control_path(index)), "servers"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return len(json.loads(answer))

    def next_port(self):
        """Returns where the next client connects: one end of the chain, then the other."""
        port = self.ports[-1 if self.client_count % 2 else 0]
        self.client_count += 1
        return port

    def kill(self):
        self.proc = None
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        self.processes = []
        super().kill()


add_client = BaseServerTestCase.addClient


def add_client_in_turn(case, *args, **kwargs):
    case.hostname, case.port = ADDRESS, case.controller.next_port()
    return add_client(case, *args, **kwargs)


BaseServerTestCase.addClient = add_client_in_turn


def get_irctest_controller_class():
    return CrcController
