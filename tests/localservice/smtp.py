"""A mail server for tests: Debian's aiosmtpd with rules by recipient. It keeps what it accepts in a Maildir."""

import asyncio
import json
import signal
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

options = json.loads(sys.argv[1])


class Rules(Mailbox):
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses[:-1] + ["250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        local = address.split("@")[0]
        if local.startswith("unknown"):
            return "550 5.1.1 <%s>: there is no such mailbox" % address
        if local.startswith("busy"):
            return "451 4.2.1 <%s>: try again later" % address
        if local.startswith("slow"):
            await asyncio.sleep(60)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = LoginPassword(options["username"].encode(), options["password"].encode())
    return AuthResult(success=data == known, handled=False)  # the library sends the answer


async def serve():
    tls = None
    if options["cert"]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options["cert"], options["key"])
    rules = Rules(options["maildir"])

    def session():
        return SMTP(
            rules,
            hostname="localhost",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=options["username"] != "",
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(session, "127.0.0.1", options["port"])
    async with server:
        await ended.wait()


asyncio.run(serve())
