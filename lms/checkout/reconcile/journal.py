"""Checks of wallets, their journal, and what each of its rows stands for.

Everything is joined by sums over whole tables: a look-up for each row would be one index too many
for tables that are written all day.
"""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check

WALLET_BALANCE = text("""
    SELECT 'wallet' AS subject_type, w.id::text AS subject_id,
           COALESCE(t.total, 0) || ' ' || w.currency AS expected,
           w.balance || ' ' || w.currency AS found
      FROM wallets w
      LEFT JOIN (SELECT wallet_id, sum(amount) AS total
                   FROM wallet_transactions GROUP BY wallet_id) t ON t.wallet_id = w.id
     WHERE w.balance <> COALESCE(t.total, 0)
""")
WALLET_LAST_ROW = text("""
    SELECT 'wallet' AS subject_type, w.id::text AS subject_id,
           'row ' || COALESCE(t.seq, 0) || ' with ' || COALESCE(t.balance_after, 0) AS expected,
           'row ' || w.seq || ' with ' || w.balance AS found
      FROM wallets w
      LEFT JOIN (SELECT DISTINCT ON (wallet_id) wallet_id, seq, balance_after
                   FROM wallet_transactions ORDER BY wallet_id, seq DESC) t ON t.wallet_id = w.id
     WHERE (w.seq, w.balance) <> (COALESCE(t.seq, 0), COALESCE(t.balance_after, 0))
""")
JOURNAL_SEQUENCE = text("""
    SELECT 'wallet_transaction' AS subject_type, t.wallet_id || '/' || t.seq AS subject_id,
           'row ' || (t.before + 1) AS expected, 'row ' || t.seq AS found
      FROM (SELECT wallet_id, seq, lag(seq, 1, CAST(0 AS bigint)) OVER one AS before
              FROM wallet_transactions WINDOW one AS (PARTITION BY wallet_id ORDER BY seq)) t
     WHERE t.seq <> t.before + 1
""")
JOURNAL_CHAIN = text("""
    SELECT 'wallet_transaction' AS subject_type, t.wallet_id || '/' || t.seq AS subject_id,
           (t.before + t.amount) || ' ' || t.currency AS expected,
           t.balance_after || ' ' || t.currency AS found
      FROM (SELECT wallet_id, seq, amount, currency, balance_after,
                   lag(balance_after, 1, CAST(0 AS bigint)) OVER one AS before
              FROM wallet_transactions WINDOW one AS (PARTITION BY wallet_id ORDER BY seq)) t
     WHERE t.balance_after <> t.before + t.amount
""")
JOURNAL_CURRENCY = text("""
    SELECT 'wallet_transaction' AS subject_type, t.wallet_id || '/' || t.seq AS subject_id,
           COALESCE(w.currency, 'a wallet') AS expected, t.currency AS found
      FROM wallet_transactions t LEFT JOIN wallets w ON w.id = t.wallet_id
     WHERE w.currency IS DISTINCT FROM t.currency
""")
DEDUCTION_PAYMENT = text("""
    SELECT 'wallet_transaction' AS subject_type, t.wallet_id || '/' || t.seq AS subject_id,
           'succeeded wallet payment of ' || -t.amount || ' ' || t.currency || ' by '
           || w.user_id AS expected,
           COALESCE(p.state || ' ' || p.method || ' payment of ' || p.amount || ' ' || p.currency
                    || ' by ' || p.user_id, 'no payment') AS found
      FROM wallet_transactions t
      JOIN wallets w ON w.id = t.wallet_id
      LEFT JOIN payments p ON p.id = t.payment_id
     WHERE t.kind = 'deduction'
       AND (p.state, p.method, p.amount, p.currency, p.user_id)
           IS DISTINCT FROM ('succeeded', 'wallet', -t.amount, t.currency, w.user_id)
""")
PAYMENT_DEDUCTION = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           '1 deduction' AS expected, COALESCE(t.entries, 0) || ' deductions' AS found
      FROM payments p
      LEFT JOIN (SELECT payment_id, count(*) AS entries FROM wallet_transactions
                  WHERE kind = 'deduction' GROUP BY payment_id) t ON t.payment_id = p.id
     WHERE p.method = 'wallet' AND p.state = 'succeeded' AND COALESCE(t.entries, 0) <> 1
""")

# What goes to a wallet is posted there once, by its own row; what does not, never.
REFUND_POSTING = text("""
    SELECT 'refund' AS subject_type, r.id::text AS subject_id,
           CASE WHEN r.posts THEN '1 row of ' || r.amount ELSE 'no row' END AS expected,
           count(t.seq) || ' rows of ' || COALESCE(sum(t.amount), 0)
           || CASE WHEN bool_or(w.user_id <> r.user_id) THEN ' in another wallet' ELSE '' END
           AS found
      FROM (SELECT refunds.id, refunds.amount, payments.user_id,
                   refunds.destination = 'wallet' AND refunds.state = 'succeeded' AS posts
              FROM refunds JOIN payments ON payments.id = refunds.payment_id) r
      LEFT JOIN wallet_transactions t ON t.refund_id = r.id AND t.kind = 'refund'
      LEFT JOIN wallets w ON w.id = t.wallet_id
     GROUP BY r.id, r.amount, r.user_id, r.posts
    HAVING (count(t.seq), COALESCE(sum(t.amount), 0))
           <> (r.posts::int, CASE WHEN r.posts THEN r.amount ELSE 0 END)
        OR bool_or(w.user_id <> r.user_id)
    UNION ALL
    SELECT 'wallet_transaction', t.wallet_id || '/' || t.seq, 'a refund', 'no refund'
      FROM wallet_transactions t WHERE t.kind = 'refund' AND t.refund_id IS NULL
""")
TOP_UP_DEPOSIT = text("""
    SELECT 'top_up' AS subject_type, u.id::text AS subject_id,
           CASE WHEN u.posts THEN '1 row of ' || u.amount ELSE 'no row' END AS expected,
           count(t.seq) || ' rows of ' || COALESCE(sum(t.amount), 0)
           || CASE WHEN bool_or(t.wallet_id <> u.wallet_id) THEN ' in another wallet' ELSE '' END
           AS found
      FROM (SELECT id, wallet_id, amount, state = 'succeeded' AS posts FROM wallet_top_ups) u
      LEFT JOIN wallet_transactions t ON t.top_up_id = u.id AND t.kind = 'deposit'
     GROUP BY u.id, u.wallet_id, u.amount, u.posts
    HAVING (count(t.seq), COALESCE(sum(t.amount), 0))
           <> (u.posts::int, CASE WHEN u.posts THEN u.amount ELSE 0 END)
        OR bool_or(t.wallet_id <> u.wallet_id)
    UNION ALL
    SELECT 'wallet_transaction', t.wallet_id || '/' || t.seq, 'a top-up or grant', 'neither'
      FROM wallet_transactions t
     WHERE t.kind = 'deposit' AND t.top_up_id IS NULL AND t.grant_id IS NULL
""")

# What was taken back of top-ups, less what the journal took for it. What is won back is a positive
# row of kind `reversal`, or less that is owed, beside a lower `reversed_amount`.
WALLET_OWED = text("""
    SELECT 'wallet' AS subject_type, w.id::text AS subject_id,
           COALESCE(u.reversed, 0) || ' ' || w.currency || ' reversed, '
           || -COALESCE(t.total, 0) || ' of it taken' AS expected,
           w.owed || ' ' || w.currency || ' owed' AS found
      FROM wallets w
      LEFT JOIN (SELECT wallet_id, sum(reversed_amount) AS reversed
                   FROM wallet_top_ups GROUP BY wallet_id) u ON u.wallet_id = w.id
      LEFT JOIN (SELECT wallet_id, sum(amount) AS total FROM wallet_transactions
                  WHERE kind = 'reversal' GROUP BY wallet_id) t ON t.wallet_id = w.id
     WHERE w.owed <> COALESCE(u.reversed, 0) + COALESCE(t.total, 0)
""")

# A grant's amount is that of all its deposits. The one other row of a grant pays what a wallet
# owes, out of the deposit before it.
GRANT_DEPOSITS = text("""
    SELECT 'credit_grant' AS subject_type, COALESCE(g.id, t.grant_id)::text AS subject_id,
           COALESCE('deposits of ' || g.amount || ' ' || g.currency, 'no such grant') AS expected,
           COALESCE(t.entries || ' of ' || t.total || ' ' || t.currencies, 'none') AS found
      FROM credit_grants g
      FULL JOIN (SELECT grant_id, count(*) AS entries, sum(amount) AS total,
                        string_agg(DISTINCT currency, ', ') AS currencies
                   FROM wallet_transactions
                  WHERE kind = 'deposit' AND grant_id IS NOT NULL GROUP BY grant_id) t
           ON t.grant_id = g.id
     WHERE (t.total, t.currencies) IS DISTINCT FROM (g.amount, g.currency)
    UNION ALL
    SELECT 'wallet_transaction', wallet_id || '/' || seq,
           'a deposit by promotion:' || grant_id || ', or what is paid out of it',
           kind || ' by ' || counter_account || COALESCE(', also of top-up ' || top_up_id, '')
      FROM wallet_transactions
     WHERE grant_id IS NOT NULL
       AND (top_up_id IS NOT NULL
            OR (kind, counter_account) NOT IN (('deposit', 'promotion:' || grant_id),
                                               ('reversal', 'owed')))
""")

CHECKS = (
    Check("wallet_balance", WALLET_BALANCE),
    Check("wallet_last_row", WALLET_LAST_ROW),
    Check("journal_sequence", JOURNAL_SEQUENCE),
    Check("journal_chain", JOURNAL_CHAIN),
    Check("journal_currency", JOURNAL_CURRENCY),
    Check("deduction_payment", DEDUCTION_PAYMENT),
    Check("payment_deduction", PAYMENT_DEDUCTION),
    Check("refund_posting", REFUND_POSTING),
    Check("top_up_deposit", TOP_UP_DEPOSIT),
    Check("wallet_owed", WALLET_OWED),
    Check("grant_deposits", GRANT_DEPOSITS),
)
"""In the order in which they run."""
