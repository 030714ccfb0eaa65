# SPDX-License-Identifier: Apache-2.0
"""
The core does nothing but compute: purity.py LIBRARY... looks for functions that reach outside (R26) and for variables
that outlive a call (R5) in the core's static libraries.
"""
import os
import re
import sys

import common

REACHES_OUT = re.compile(r"""
    f?open(at)?(64)?(_2)?|creat(64)?|f(re|d|mem)open(64)?|p?read(v|64)?(_chk)?|p?write(v|64)?|fread\w*|fwrite\w*|fgets\w*|fput[sc]|put[sc]|putchar
    |(__)?v?(f|d)?printf(_chk)?|fflush|perror|stat(64)?|[fl]stat(at)?(64)?|unlink(at)?|rename(at)?2?|mkdir(at)?|opendir|readdir\w*|mmap(64)?
    |socket|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|getaddrinfo|gethostby\w+|poll|e?poll_\w+|select
    |time|gettimeofday|clock\w*|nanosleep|u?sleep|alarm|localtime\w*|gmtime\w*|mktime|strftime\w*|tzset
    |getenv|secure_getenv|setenv|putenv|setlocale|getpid|gethostname|uname
    |fork|v?fork|exec\w+|posix_spawn\w*|system|popen|pthread_\w+|signal|sigaction|kill|exit|_exit
    |s?rand(om|48)?(_r)?|getrandom|getentropy|arc4random\w*|RAND_\w+|EVP_PKEY_(Q_|param)?(key)?gen\w*|RSA_generate\w*|EC_KEY_generate\w*
    |syslog|vsyslog|sd_\w+|sqlite3_\w+|curl_\w+|ostree_\w+|g_\w+
    |json_(load|dump)(_file|f|fd|_callback)|BIO_(new_file|new_fp|s_file|s_socket|s_connect|new_connect|new_socket)|PEM_(read|write)_(?!bio)\w+
    |std(in|out|err)""", re.X)
# The one use of randomness: a new key for this ECU.
EXCEPT = {"openssl_private-key.c.o": {"EVP_PKEY_Q_keygen"}, "nettle_private-key.c.o": {"getrandom"}}
MUTABLE = re.compile(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)|\*COM\*")


def check_undefined(member, line):
    name = line.split()[-1].split("@")[0]
    if REACHES_OUT.fullmatch(name) and name not in EXCEPT.get(os.path.basename(member), ()):
        return ["%s: uses %s()" % (member, name)]
    return []


def check_variable(member, line):
    """A line of nm --format=sysv: name|value|class|type|size|line|section"""
    fields = [f.strip() for f in line.split("|")]
    if len(fields) == 7 and MUTABLE.match(fields[6]) and "SECTION" not in fields[3]:
        return ["%s: '%s' can be changed (%s)" % (member, fields[0], fields[6])]
    return []


problems = []
seen = 0
for library in sys.argv[1:]:
    for member, line in common.symbols(library, "-u"):
        seen += 1
        problems += check_undefined(member, line)
    for member, line in common.symbols(library, "--format=sysv"):
        problems += check_variable(member, line)
assert seen > 100 or not sys.argv[1:], "nm shows nothing: are these libraries?"

common.finish(
    problems,
    good=[check_undefined("a.c.o", "                 U memcpy"), check_undefined("openssl_private-key.c.o", "U EVP_PKEY_Q_keygen"),
          check_undefined("a.c.o", "U json_loadb"), check_undefined("a.c.o", "U time_parse"), check_undefined("a.c.o", "U __snprintf_chk"),
          check_variable("a.c.o", "names|0|d|OBJECT|10||.data.rel.ro.local")],
    bad=[check_undefined("a.c.o", "                 U " + name)
         for name in ("time", "open64", "fopen", "getenv", "RAND_bytes", "clock_gettime@GLIBC_2.17", "sd_journal_print", "json_load_file",
                      "EVP_PKEY_Q_keygen", "__printf_chk", "stderr", "sqlite3_open", "getrandom", "localtime_r", "write")] +
        [check_variable("a.c.o", "counter|0|b|OBJECT|4||.bss"), check_variable("a.c.o", "last|0|d|OBJECT|4||.data"),
         check_variable("a.c.o", "mine|0|B|TLS|4||.tbss"), check_variable("a.c.o", "shared|0|C|OBJECT|4||*COM*")])
