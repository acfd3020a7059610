# SPDX-License-Identifier: BSD-2-Clause
"""The parts of scripts/bench-guest: what is measured (plan), where (session, guest, monitors, counters), and what comes
of it (stats, summary, report, plot)."""
