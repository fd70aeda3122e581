"""The table of what `postroom doctor` can find: a word for programs, a rank, and sentences for people.

Owns the words, which scripts rely on, and their sentences, which docs/doctor.md repeats. Findings themselves are made
where something is checked. No sentence holds an address, a user name, a password or a server's own words.

Over 300 lines because it is one table, a row for each finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; from the least to the most."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing needs to be done
    WARNING = "warning"  # mail is sent, but something is weaker than it should be
    ERROR = "error"  # mail is not sent, or is lost

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Severity).index(self)


class FindingCode(StrEnum):
    """The word for a finding."""

    SETTINGS_WRONG = "settings_wrong"
    SETTING_UNREAD = "setting_unread"
    KEYS_MISSING = "keys_missing"
    KEYS_READ = "keys_read"
    KEYS_SHARED = "keys_shared"
    PASSWORD_KEYS_MISSING = "password_keys_missing"  # noqa: S105 -- a word, no password
    PASSWORD_KEYS_HERE = "password_keys_here"  # noqa: S105
    SESSIONS_FILE_WRONG = "sessions_file_wrong"
    SESSION_UNKNOWN = "session_unknown"
    SESSIONS_NONE = "sessions_none"
    SCHEDULE_FILE_WRONG = "schedule_file_wrong"

    REDIS_ANSWERS = "redis_answers"
    REDIS_AWAY = "redis_away"
    REDIS_REFUSES = "redis_refuses"
    REDIS_OLD = "redis_old"
    REDIS_READ_ONLY = "redis_read_only"
    REDIS_EVICTS = "redis_evicts"
    REDIS_WOULD_EVICT = "redis_would_evict"
    REDIS_FULL = "redis_full"
    REDIS_NEARLY_FULL = "redis_nearly_full"
    REDIS_HAS_ROOM = "redis_has_room"
    REDIS_FORGETS = "redis_forgets"
    REDIS_MAY_FORGET = "redis_may_forget"
    REDIS_KEEPS = "redis_keeps"
    REDIS_DISK_FAILS = "redis_disk_fails"
    REDIS_HIDES = "redis_hides"
    CLOCK_RIGHT = "clock_right"
    CLOCK_WRONG = "clock_wrong"

    WORKERS_ALIVE = "workers_alive"
    WORKERS_NONE = "workers_none"
    WORKERS_OF_ONE_NAME = "workers_of_one_name"
    WORKER_STUCK = "worker_stuck"
    WORKER_KEYS_DIFFER = "worker_keys_differ"
    WORKER_KEYS_LAG = "worker_keys_lag"
    WORKER_KEYS_EQUAL = "worker_keys_equal"
    WORKER_PASSWORD_KEYS_DIFFER = "worker_password_keys_differ"  # noqa: S105
    WORKER_VERSION_DIFFERS = "worker_version_differs"
    WEBHOOK_SECRET_MISSING = "webhook_secret_missing"  # noqa: S105
    BEATS_ALIVE = "beats_alive"
    BEATS_NONE = "beats_none"
    BEATS_SEVERAL = "beats_several"
    LEASES_RENEWED = "leases_renewed"
    LEASES_LAPSED = "leases_lapsed"
    QUEUE_MOVES = "queue_moves"
    QUEUE_OLD = "queue_old"
    SCHEDULE_LATE = "schedule_late"
    DEAD_LETTERS = "dead_letters"
    HELD_MESSAGES = "held_messages"

    SMTP_UNCHECKED = "smtp_unchecked"
    SMTP_CHECK_FAILED = "smtp_check_failed"
    PASSWORD_UNREADABLE = "password_unreadable"  # noqa: S105
    HOST_UNKNOWN = "host_unknown"
    HOST_UNRESOLVED = "host_unresolved"
    PORT_CLOSED = "port_closed"
    PORT_SILENT = "port_silent"
    PORT_UNREACHABLE = "port_unreachable"
    SERVER_SLOW = "server_slow"
    NOT_SMTP = "not_smtp"
    NO_SOCKET = "no_socket"
    CONNECTION_LOST = "connection_lost"
    CONNECTION_REFUSED = "connection_refused"
    TLS_FROM_FIRST_BYTE = "tls_from_first_byte"
    TLS_NOT_OFFERED = "tls_not_offered"
    STARTTLS_NOT_OFFERED = "starttls_not_offered"
    STARTTLS_REFUSED = "starttls_refused"
    STARTTLS_INJECTION = "starttls_injection"
    TLS_FAILED = "tls_failed"
    CLEAR_TEXT = "clear_text"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_OF_ANOTHER_HOST = "certificate_of_another_host"
    CERTIFICATE_INVALID = "certificate_invalid"
    CERTIFICATE_ENDS_SOON = "certificate_ends_soon"
    SERVER_REACHED = "server_reached"
    NO_PIPELINING = "no_pipelining"
    LOGIN_ACCEPTED = "login_accepted"
    LOGIN_REFUSED = "login_refused"
    LOGIN_NOT_OFFERED = "login_not_offered"
    LOGIN_MECHANISM = "login_mechanism"
    LOGIN_NOT_NOW = "login_not_now"
    LOGIN_UNCHECKED = "login_unchecked"
    SENDER_ACCEPTED = "sender_accepted"
    SENDER_REFUSED = "sender_refused"
    SENDER_NOT_NOW = "sender_not_now"
    SENDER_UNKNOWN = "sender_unknown"

    RECORDS_UNCHECKED = "records_unchecked"
    RECORDS_UNANSWERED = "records_unanswered"
    DOMAIN_UNKNOWN = "domain_unknown"
    SPF_FOUND = "spf_found"
    SPF_MISSING = "spf_missing"
    SPF_SEVERAL = "spf_several"
    SPF_OPEN = "spf_open"
    DMARC_FOUND = "dmarc_found"
    DMARC_MISSING = "dmarc_missing"
    DMARC_NONE = "dmarc_none"
    DMARC_BROKEN = "dmarc_broken"
    DKIM_FOUND = "dkim_found"
    DKIM_MISSING = "dkim_missing"
    DKIM_REVOKED = "dkim_revoked"
    DKIM_UNCHECKED = "dkim_unchecked"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A finding in sentences: how much it matters, what was seen, and what to do about it."""

    severity: Severity
    what: str
    advice: str = ""


_OK, _NOTE, _WARNING, _ERROR = Severity

# `{about}` and the facts of a finding fill the braces.
EXPLANATIONS: Mapping[FindingCode, Explanation] = {
    FindingCode.SETTINGS_WRONG: Explanation(
        _ERROR, "{detail}.", "Mend this environment variable; the README's table has its meaning."
    ),
    FindingCode.SETTING_UNREAD: Explanation(
        _WARNING, "{about} is set, and nothing reads it.", "Give it its right name; {meant} may be meant."
    ),
    FindingCode.KEYS_MISSING: Explanation(
        _ERROR,
        "POSTROOM_KEYS (or POSTROOM_KEYS_FILE) is not set.",
        "Give this program the ring that the workers have; `postroom keygen` prints the first key of a new one.",
    ),
    FindingCode.KEYS_READ: Explanation(_OK, "Keys in POSTROOM_KEYS: {count}; {first} seals."),
    FindingCode.KEYS_SHARED: Explanation(
        _ERROR,
        "POSTROOM_KEYS and POSTROOM_PASSWORD_KEYS share a key: who can queue mail can open SMTP passwords.",
        "Make a new password key with `postroom keygen`, encrypt the passwords anew, and take the shared key out.",
    ),
    FindingCode.PASSWORD_KEYS_MISSING: Explanation(
        _ERROR,
        "POSTROOM_PASSWORD_KEYS (or POSTROOM_PASSWORD_KEYS_FILE) is not set: no worker starts here.",
        "Give the worker the ring with which `postroom encrypt` has sealed the passwords.",
    ),
    FindingCode.PASSWORD_KEYS_HERE: Explanation(
        _WARNING,
        "POSTROOM_PASSWORD_KEYS is set where mail is only queued: who breaks in here can open SMTP passwords.",
        "Unset it here. Only workers and `postroom encrypt` need it.",
    ),
    FindingCode.SESSIONS_FILE_WRONG: Explanation(
        _ERROR, "{detail}.", "Mend the file that POSTROOM_SESSIONS_FILE names; the README shows one."
    ),
    FindingCode.SESSION_UNKNOWN: Explanation(
        _ERROR, "There is no session {about} (known: {known}).", "Name one that POSTROOM_SESSIONS_FILE has, or add it."
    ),
    FindingCode.SESSIONS_NONE: Explanation(
        _NOTE,
        "No session has a name here, so no mail server was checked.",
        "Set POSTROOM_SESSIONS_FILE to have the mail servers checked too.",
    ),
    FindingCode.SCHEDULE_FILE_WRONG: Explanation(
        _ERROR, "{detail}.", "Mend the file that POSTROOM_SCHEDULE_FILE names; docs/beat.md shows one."
    ),
    FindingCode.REDIS_ANSWERS: Explanation(_OK, "Redis at {about} answers: {server} {version}, {ms} ms a round trip."),
    FindingCode.REDIS_AWAY: Explanation(
        _ERROR,
        "Nothing answers at {about} ({detail}).",
        "Start Redis there, open its port to this machine, or set POSTROOM_BROKER_URL (POSTROOM_RESULT_URL).",
    ),
    FindingCode.REDIS_REFUSES: Explanation(
        _ERROR,
        "Redis at {about} refuses this client ({detail}).",
        "Put the right user and password into the URL, percent-encoded, or mend what Redis complains of.",
    ),
    FindingCode.REDIS_OLD: Explanation(
        _ERROR, "Redis at {about} is version {version}; Postroom needs {least}.", "Update Redis, or use Valkey."
    ),
    FindingCode.REDIS_READ_ONLY: Explanation(
        _ERROR,
        "Redis at {about} is a replica: nothing can be queued there.",
        "Name the primary in POSTROOM_BROKER_URL.",
    ),
    FindingCode.REDIS_EVICTS: Explanation(
        _ERROR,
        "Redis throws keys away when its memory is full (maxmemory-policy {policy}): queued mail would be lost.",
        "Set maxmemory-policy noeviction, and give caches a Redis of their own.",
    ),
    FindingCode.REDIS_WOULD_EVICT: Explanation(
        _WARNING,
        "maxmemory-policy is {policy}: the day maxmemory is set, Redis throws queued mail away when it is full.",
        "Set maxmemory-policy noeviction.",
    ),
    FindingCode.REDIS_FULL: Explanation(
        _ERROR,
        "Redis' memory is full ({percent} % of maxmemory): nothing more can be queued.",
        "Raise maxmemory, or find out what fills it; `postroom dead list` shows dead letters.",
    ),
    FindingCode.REDIS_NEARLY_FULL: Explanation(
        _WARNING,
        "Redis' memory is nearly full ({percent} % of maxmemory).",
        "Raise maxmemory, or find out what fills it: at 100 % nothing more can be queued.",
    ),
    FindingCode.REDIS_HAS_ROOM: Explanation(_OK, "Redis uses {used} of memory, with {limit}, and evicts nothing."),
    FindingCode.REDIS_FORGETS: Explanation(
        _WARNING,
        "Redis keeps nothing on disk: a restart loses all mail that waits.",
        "Set appendonly yes and appendfsync everysec (or always), as ops/valkey.conf has it.",
    ),
    FindingCode.REDIS_MAY_FORGET: Explanation(
        _WARNING,
        "Redis writes snapshots and no append-only file: a crash loses what came since the last one.",
        "Set appendonly yes and appendfsync everysec (or always), as ops/valkey.conf has it.",
    ),
    FindingCode.REDIS_KEEPS: Explanation(_OK, "Redis writes an append-only file (appendfsync {fsync})."),
    FindingCode.REDIS_DISK_FAILS: Explanation(
        _ERROR,
        "Redis could not write to its disk the last time it tried, and may refuse to take mail.",
        "Look into Redis' log; make room on its disk and its folder writable.",
    ),
    FindingCode.REDIS_HIDES: Explanation(
        _NOTE,
        "Redis does not show its settings ({detail}), so eviction and persistence were not checked.",
        "Check that maxmemory-policy is noeviction and appendonly is yes.",
    ),
    FindingCode.CLOCK_RIGHT: Explanation(_OK, "This machine's clock and Redis' differ by {seconds} s."),
    FindingCode.CLOCK_WRONG: Explanation(
        _WARNING,
        "This machine's clock and Redis' differ by {seconds} s.",
        "Run a time service (NTP) on both. Redis' clock decides what is due; this one dates mail and judges certificates.",
    ),
    FindingCode.WORKERS_ALIVE: Explanation(_OK, "Workers alive: {count}."),
    FindingCode.WORKERS_NONE: Explanation(
        _ERROR,
        "No worker is alive: nothing is sent.",
        "Start `postroom worker` with this POSTROOM_BROKER_URL. Workers older than the doctor do not show.",
    ),
    FindingCode.WORKERS_OF_ONE_NAME: Explanation(
        _NOTE,
        "{count} workers are called {about}.",
        "All of them send, but Flower shows them as one: start each with a name of its own (`postroom worker --name`).",
    ),
    FindingCode.WORKER_STUCK: Explanation(
        _ERROR,
        "Worker {about} lives, but the loop that sends its mail has stood still for {seconds} s.",
        "Look into its log and restart it. Its leases are not renewed, so its messages go to other workers.",
    ),
    FindingCode.WORKER_KEYS_DIFFER: Explanation(
        _ERROR,
        "Worker {about} cannot open what is queued from here, or its outcomes cannot be read here: its POSTROOM_KEYS differ.",
        "Give both the same ring (key ids here: {here}; there: {there}). What died of it: `postroom dead list`.",
    ),
    FindingCode.WORKER_KEYS_LAG: Explanation(
        _NOTE,
        "Worker {about} has another POSTROOM_KEYS ring, which opens all the same what is sealed now.",
        "Expected while keys are changed; end with the same ring everywhere (here: {here}; there: {there}).",
    ),
    FindingCode.WORKER_KEYS_EQUAL: Explanation(_OK, "All workers have the POSTROOM_KEYS of this side."),
    FindingCode.WORKER_PASSWORD_KEYS_DIFFER: Explanation(
        _ERROR,
        "Worker {about} lacks the first key of this POSTROOM_PASSWORD_KEYS: it cannot open what is encrypted here.",
        "Give all workers, and whoever runs `postroom encrypt`, the same ring.",
    ),
    FindingCode.WORKER_VERSION_DIFFERS: Explanation(
        _NOTE, "Worker {about} runs Postroom {there}; here it is {here}.", "Bring both to the same version."
    ),
    FindingCode.WEBHOOK_SECRET_MISSING: Explanation(
        _WARNING,
        "POSTROOM_ON_OUTCOME names a webhook, and worker {about} has no POSTROOM_WEBHOOK_SECRETS: it calls none.",
        "Give every worker the same secret; `postroom keygen --webhook` makes one. The news waits in the queue meanwhile.",
    ),
    FindingCode.BEATS_ALIVE: Explanation(_OK, "A beat is alive and sends recurring mail."),
    FindingCode.BEATS_NONE: Explanation(
        _ERROR,
        "POSTROOM_SCHEDULE_FILE is set, and no beat is alive: no recurring mail is sent.",
        "Start `postroom beat`. What it missed it sends, as far back as each entry's catch_up.",
    ),
    FindingCode.BEATS_SEVERAL: Explanation(
        _NOTE, "Beats alive: {count}.", "One is enough. More do no harm: each mail is sent once."
    ),
    FindingCode.LEASES_RENEWED: Explanation(
        _OK, "Messages with workers: {count}; the oldest lease was renewed {seconds} s ago, and lasts {lease} s."
    ),
    FindingCode.LEASES_LAPSED: Explanation(
        _ERROR,
        "Messages whose worker has not renewed its lease of {lease} s: {count}, the oldest for {seconds} s.",
        "Start a worker: the first thing it does is to take them back.",
    ),
    FindingCode.QUEUE_MOVES: Explanation(_OK, "Messages waiting in the queues: {count}; none is late."),
    FindingCode.QUEUE_OLD: Explanation(
        _WARNING,
        "Messages waiting in {about}: {count}; the next was due {seconds} s ago.",
        "Start more workers or raise POSTROOM_CONCURRENCY; if one session is slow, see its findings.",
    ),
    FindingCode.SCHEDULE_LATE: Explanation(
        _WARNING,
        "Scheduled messages and retries that nobody moves into their queues: {count}, the first overdue by {seconds} s.",
        "Start a worker; moving them is its business.",
    ),
    FindingCode.DEAD_LETTERS: Explanation(
        _WARNING,
        "Dead letters: {count}.",
        "`postroom dead list` says why each is there, `postroom dead show ID` what to do.",
    ),
    FindingCode.HELD_MESSAGES: Explanation(
        _NOTE,
        "Messages that may have been delivered and wait for a word: {count}.",
        "`postroom held list`, then `held send` or `held drop`.",
    ),
    FindingCode.SMTP_UNCHECKED: Explanation(
        _NOTE,
        "The worker is not installed here, so no mail server was checked.",
        "Run the doctor where the worker runs, or pip install '.[worker]' in Postroom's folder.",
    ),
    FindingCode.SMTP_CHECK_FAILED: Explanation(
        _ERROR,
        "The check of the mail servers ended without an answer ({detail}).",
        "Run it again; if it stays, it is a mistake of Postroom's own: please report it.",
    ),
    FindingCode.PASSWORD_UNREADABLE: Explanation(
        _ERROR,
        "Session {about}: the encrypted password cannot be opened with this POSTROOM_PASSWORD_KEYS.",
        "Encrypt it anew with `postroom encrypt`, for exactly this host, port, TLS mode and user name.",
    ),
    FindingCode.HOST_UNKNOWN: Explanation(
        _ERROR, "Session {about}: its host does not exist.", "Mend `host`; its name is not in the DNS."
    ),
    FindingCode.HOST_UNRESOLVED: Explanation(
        _ERROR, "Session {about}: the name server did not answer for its host.", "Mend this machine's DNS; try again."
    ),
    FindingCode.PORT_CLOSED: Explanation(
        _ERROR,
        "Session {about}: nothing listens on port {port}.",
        "Mend `port` (465 with use_ssl, 587 without), or start the server.",
    ),
    FindingCode.PORT_SILENT: Explanation(
        _ERROR,
        "Session {about}: port {port} does not answer in time.",
        "A firewall may stand between; many clouds close port 25. Try 465 or 587.",
    ),
    FindingCode.PORT_UNREACHABLE: Explanation(
        _ERROR, "Session {about}: the network has no way to its host.", "Mend routes, or IPv6, of this machine."
    ),
    FindingCode.SERVER_SLOW: Explanation(
        _WARNING,
        "Session {about}: the server answers so slowly that its check was ended after {seconds} s.",
        "Mail may go out all the same, for workers are more patient. Ask its operator.",
    ),
    FindingCode.NOT_SMTP: Explanation(
        _ERROR, "Session {about}: what answers on port {port} does not speak SMTP.", "Mend `host` and `port`."
    ),
    FindingCode.NO_SOCKET: Explanation(
        _ERROR, "Session {about}: this machine has no socket to spare.", "Raise the limit of open files (ulimit -n)."
    ),
    FindingCode.CONNECTION_LOST: Explanation(
        _ERROR,
        "Session {about}: the connection was lost at {phase} ({reason}).",
        "The server may be overloaded or restarting, or not want this address; try again and ask its operator.",
    ),
    FindingCode.CONNECTION_REFUSED: Explanation(
        _ERROR,
        "Session {about}: the server greeted with a refusal ({reply}).",
        "Ask its operator why; its log has the reason. POSTROOM_EHLO_NAME may have to be a real name.",
    ),
    FindingCode.TLS_FROM_FIRST_BYTE: Explanation(
        _ERROR, "Session {about}: port {port} wants TLS from the first byte.", "Set use_ssl = true."
    ),
    FindingCode.TLS_NOT_OFFERED: Explanation(
        _ERROR,
        "Session {about}: port {port} does not speak TLS from the first byte.",
        "Set use_ssl = false (STARTTLS).",
    ),
    FindingCode.STARTTLS_NOT_OFFERED: Explanation(
        _ERROR,
        "Session {about}: the server offers no STARTTLS, and credentials never travel in the clear.",
        "Use the server's TLS port (465, use_ssl = true). If it always had STARTTLS, somebody in between strips it.",
    ),
    FindingCode.STARTTLS_REFUSED: Explanation(
        _ERROR, "Session {about}: the server offers STARTTLS and refuses it.", "Its certificate may be gone: ask it."
    ),
    FindingCode.STARTTLS_INJECTION: Explanation(
        _ERROR,
        "Session {about}: the server says more than its answer before TLS begins, which is how an attack looks.",
        "Do not send through it; find out what stands between.",
    ),
    FindingCode.TLS_FAILED: Explanation(
        _ERROR, "Session {about}: TLS fails ({reason}).", "The server must offer TLS 1.2 or newer; ask its operator."
    ),
    FindingCode.CLEAR_TEXT: Explanation(
        _WARNING, "Session {about}: password and mail travel in the clear.", "Take allow_cleartext out, and use TLS."
    ),
    FindingCode.CERTIFICATE_EXPIRED: Explanation(
        _ERROR, "Session {about}: the server's certificate has expired.", "Its operator has to renew it."
    ),
    FindingCode.CERTIFICATE_NOT_YET_VALID: Explanation(
        _ERROR,
        "Session {about}: the server's certificate is not valid yet.",
        "See whether this machine's clock is right.",
    ),
    FindingCode.CERTIFICATE_UNTRUSTED: Explanation(
        _ERROR,
        "Session {about}: the server's certificate is signed by nobody this machine trusts.",
        "For an authority of your own set SSL_CERT_FILE; otherwise the server may lack its intermediate certificate.",
    ),
    FindingCode.CERTIFICATE_OF_ANOTHER_HOST: Explanation(
        _ERROR,
        "Session {about}: the server's certificate names another host.",
        "Write `host` as the certificate has it.",
    ),
    FindingCode.CERTIFICATE_INVALID: Explanation(
        _ERROR, "Session {about}: the server's certificate does not verify.", "Ask the server's operator."
    ),
    FindingCode.CERTIFICATE_ENDS_SOON: Explanation(
        _WARNING,
        "Session {about}: the server's certificate has days left: {days}.",
        "See that its renewal works: when it has ended, no mail goes out.",
    ),
    FindingCode.SERVER_REACHED: Explanation(
        _OK, "Session {about}: the server answers ({security}); it offers {offers}."
    ),
    FindingCode.NO_PIPELINING: Explanation(
        _NOTE,
        "Session {about}: the server has no PIPELINING: each recipient costs a round trip more.",
        "Nothing is wrong.",
    ),
    FindingCode.LOGIN_ACCEPTED: Explanation(_OK, "Session {about}: the login is accepted."),
    FindingCode.LOGIN_REFUSED: Explanation(
        _ERROR,
        "Session {about}: the server refuses user name and password ({reply}).",
        "Encrypt the right password with `postroom encrypt`. Gmail, Outlook and others want an application password.",
    ),
    FindingCode.LOGIN_NOT_OFFERED: Explanation(
        _ERROR,
        "Session {about}: the server offers no login here.",
        "Use its submission port (465 or 587); without a user name, set anonymous = true.",
    ),
    FindingCode.LOGIN_MECHANISM: Explanation(
        _ERROR,
        "Session {about}: server and worker share no way to log in.",
        "Postroom knows PLAIN, LOGIN and CRAM-MD5; the server must offer one.",
    ),
    FindingCode.LOGIN_NOT_NOW: Explanation(
        _WARNING, "Session {about}: the server cannot check logins at the moment ({reply}).", "Try again later."
    ),
    FindingCode.LOGIN_UNCHECKED: Explanation(
        _NOTE,
        "Session {about}: the login was not tried, because the password cannot be opened without POSTROOM_PASSWORD_KEYS.",
        "Run the doctor where the worker runs.",
    ),
    FindingCode.SENDER_ACCEPTED: Explanation(
        _OK, "Session {about}: the server takes mail from this sender; nothing was sent."
    ),
    FindingCode.SENDER_REFUSED: Explanation(
        _ERROR,
        "Session {about}: the server refuses the sender ({reply}).",
        "Send from an address that this user may use, or verify the address with the provider; --from names another.",
    ),
    FindingCode.SENDER_NOT_NOW: Explanation(
        _WARNING, "Session {about}: the server does not take this sender now ({reply}).", "Try again later."
    ),
    FindingCode.SENDER_UNKNOWN: Explanation(
        _NOTE,
        "Session {about}: its user name is no address, so MAIL FROM and the sender's domain were not checked.",
        "Name a sender: --from shop@example.com.",
    ),
    FindingCode.RECORDS_UNCHECKED: Explanation(
        _NOTE,
        "dnspython is not installed here, so no DNS records were checked.",
        "pip install '.[worker]' in Postroom's folder",
    ),
    FindingCode.RECORDS_UNANSWERED: Explanation(
        _WARNING, "No name server answered for {about}'s {record} record.", "Try again, or name one with --resolver."
    ),
    FindingCode.DOMAIN_UNKNOWN: Explanation(
        _ERROR, "The sender's domain {about} does not exist: receivers refuse its mail.", "Mend the sender's address."
    ),
    FindingCode.SPF_FOUND: Explanation(_OK, "{about} has an SPF record ({policy} for all others)."),
    FindingCode.SPF_MISSING: Explanation(
        _WARNING,
        "{about} has no SPF record: receivers cannot tell which servers send for it.",
        "Publish the TXT record that your mail provider names (v=spf1 include:… ~all).",
    ),
    FindingCode.SPF_SEVERAL: Explanation(
        _ERROR, "{about} has several SPF records ({count}), so none counts (RFC 7208).", "Merge them into one."
    ),
    FindingCode.SPF_OPEN: Explanation(
        _WARNING, "{about}'s SPF record lets every server send for it ({policy}).", "End it with ~all or -all."
    ),
    FindingCode.DMARC_FOUND: Explanation(_OK, "{about} has a DMARC record (p={policy})."),
    FindingCode.DMARC_MISSING: Explanation(
        _WARNING,
        "{about} has no DMARC record: large providers refuse bulk mail without one.",
        "Publish _dmarc.{about}, to begin with: v=DMARC1; p=none; rua=mailto:…",
    ),
    FindingCode.DMARC_NONE: Explanation(
        _NOTE,
        "{about}'s DMARC record asks receivers to do nothing (p=none).",
        "When its reports show only your own servers, go on to quarantine or reject.",
    ),
    FindingCode.DMARC_BROKEN: Explanation(
        _WARNING, "{about}'s DMARC record has no valid policy, or is there twice.", "One record: v=DMARC1; p=…"
    ),
    FindingCode.DKIM_FOUND: Explanation(_OK, "{about} has a DKIM key at selector {selector}."),
    FindingCode.DKIM_MISSING: Explanation(
        _WARNING,
        "{about} has no DKIM key at selector {selector}.",
        "Publish the record that your mail provider names; without it signatures fail.",
    ),
    FindingCode.DKIM_REVOKED: Explanation(
        _WARNING, "{about}'s DKIM key at selector {selector} is revoked.", "Publish the provider's present key."
    ),
    FindingCode.DKIM_UNCHECKED: Explanation(
        _NOTE,
        "{about}: DKIM was not checked, because only your provider knows the selector.",
        "Name it: --dkim-selector s1 (it stands as s= in a signed mail).",
    ),
}
