"""Ways in which wallets and their journal can be wrong, and what finds each."""

from __future__ import annotations

Found = set[tuple[str, str, str]]
"""Check, subject type, subject id; `{name}` stands for one of the academy's ids."""

PLANTED: dict[str, tuple[tuple[str, ...], Found]] = {
    "a balance that the journal does not explain": (
        ("UPDATE wallets SET balance = balance + 1 WHERE id = :wallet",),
        {("wallet_balance", "wallet", "{wallet}"), ("wallet_last_row", "wallet", "{wallet}")},
    ),
    "a wallet that counts a row that is not there": (
        ("UPDATE wallets SET seq = seq + 1 WHERE id = :wallet",),
        {("wallet_last_row", "wallet", "{wallet}")},
    ),
    "a lost row": (
        ("DELETE FROM wallet_transactions WHERE wallet_id = :wallet AND seq = 1",),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("journal_sequence", "wallet_transaction", "{wallet}/2"),
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
        },
    ),
    "a lost last row": (
        ("DELETE FROM wallet_transactions WHERE wallet_id = :wallet AND seq = 2",),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("wallet_last_row", "wallet", "{wallet}"),
            ("payment_deduction", "payment", "{payment}"),
        },
    ),
    "a row with another balance": (
        (
            (
                "UPDATE wallet_transactions SET balance_after = balance_after + 1"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
        ),
        {
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
            ("wallet_last_row", "wallet", "{wallet}"),
        },
    ),
    "a row in another currency": (
        ("UPDATE wallet_transactions SET currency = 'USD' WHERE wallet_id = :wallet AND seq = 1",),
        {("journal_currency", "wallet_transaction", "{wallet}/1")},
    ),
    "a row of another amount": (
        (
            (
                "UPDATE wallet_transactions SET amount = amount + 1"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
        ),
        {
            ("wallet_balance", "wallet", "{wallet}"),
            ("journal_chain", "wallet_transaction", "{wallet}/2"),
            ("deduction_payment", "wallet_transaction", "{wallet}/2"),
        },
    ),
    "a payment of another amount": (
        ("UPDATE payments SET amount = amount + 1 WHERE id = :payment",),
        {("deduction_payment", "wallet_transaction", "{wallet}/2")},
    ),
    "a deduction for nothing": (
        ("UPDATE wallet_transactions SET payment_id = NULL WHERE wallet_id = :wallet AND seq = 2",),
        {
            ("deduction_payment", "wallet_transaction", "{wallet}/2"),
            ("payment_deduction", "payment", "{payment}"),
        },
    ),
    "a deduction from somebody else's wallet": (
        ("UPDATE wallets SET user_id = :admin WHERE id = :wallet",),
        {("deduction_payment", "wallet_transaction", "{wallet}/2")},
    ),
    "a payment that was deducted twice": (
        (
            (
                "INSERT INTO wallet_transactions (wallet_id, seq, kind, amount, currency,"
                " balance_after, counter_account, payment_id, reference)"
                " SELECT wallet_id, 3, kind, amount, currency, balance_after + amount,"
                " counter_account, payment_id, 'twice' FROM wallet_transactions"
                " WHERE wallet_id = :wallet AND seq = 2"
            ),
            (
                "UPDATE wallets SET seq = t.seq, balance = t.balance_after"
                " FROM wallet_transactions t"
                " WHERE id = :wallet AND t.wallet_id = :wallet AND t.seq = 3"
            ),
        ),
        {("payment_deduction", "payment", "{payment}")},
    ),
    "a refund that was not posted": (
        ("UPDATE wallet_transactions SET refund_id = NULL WHERE refund_id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refund_posting", "wallet_transaction", "{refunded_wallet}/3"),
        },
    ),
    "a refund that was posted though it failed": (
        ("UPDATE refunds SET state = 'failed' WHERE id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refunded_amount", "payment", "{refunded_payment}"),
        },
    ),
    "a refund of another amount": (
        ("UPDATE refunds SET amount = amount - 1 WHERE id = :refund",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("refunded_amount", "payment", "{refunded_payment}"),
        },
    ),
    "a refund in somebody else's wallet": (
        ("UPDATE wallets SET user_id = :admin WHERE id = :refunded_wallet",),
        {
            ("refund_posting", "refund", "{refund}"),
            ("deduction_payment", "wallet_transaction", "{refunded_wallet}/2"),
        },
    ),
    "a deposit though the top-up failed": (
        ("UPDATE wallet_top_ups SET state = 'failed' WHERE id = :top_up",),
        {("top_up_deposit", "top_up", "{top_up}")},
    ),
    "a top-up without its deposit": (
        ("UPDATE wallet_top_ups SET state = 'succeeded' WHERE id = :open_top_up",),
        {("top_up_deposit", "top_up", "{open_top_up}")},
    ),
    "a deposit from nowhere": (
        ("UPDATE wallet_transactions SET top_up_id = NULL WHERE top_up_id = :top_up",),
        {
            ("top_up_deposit", "top_up", "{top_up}"),
            ("top_up_deposit", "wallet_transaction", "{topped_up_wallet}/1"),
        },
    ),
    "a wallet that owes too little": (
        ("UPDATE wallets SET owed = owed - 1 WHERE id = :owing_wallet",),
        {("wallet_owed", "wallet", "{owing_wallet}")},
    ),
    "a debt that was paid and stands still": (
        ("UPDATE wallets SET owed = owed + 900 WHERE id = :owing_wallet",),
        {("wallet_owed", "wallet", "{owing_wallet}")},
    ),
    "a debt for money that was not taken back": (
        (
            (
                "UPDATE wallet_top_ups SET reversed_amount = 0, refunded_amount = 0"
                " WHERE id = :reversed_top_up"
            ),
        ),
        {("wallet_owed", "wallet", "{owing_wallet}")},
    ),
    "a reversal that the top-up does not know": (
        (
            (
                "INSERT INTO wallet_transactions (wallet_id, seq, kind, amount, currency,"
                " balance_after, counter_account, top_up_id, reference) VALUES"
                " (:topped_up_wallet, 2, 'reversal', -5000, 'EUR', 0, 'provider:sandbox',"
                " :top_up, 'taken')"
            ),
            "UPDATE wallets SET seq = 2, balance = 0 WHERE id = :topped_up_wallet",
        ),
        {("wallet_owed", "wallet", "{topped_up_wallet}")},
    ),
    "money that was taken back and won back": (
        (
            (
                "INSERT INTO wallet_transactions (wallet_id, seq, kind, amount, currency,"
                " balance_after, counter_account, top_up_id, reference) VALUES"
                " (:owing_wallet, 6, 'reversal', 600, 'EUR', 600, 'provider:sandbox',"
                " :reversed_top_up, 'won')"
            ),
            (
                "UPDATE wallets SET seq = 6, balance = 600, owed = 0, frozen_at = NULL"
                " WHERE id = :owing_wallet"
            ),
            (
                "UPDATE wallet_top_ups SET reversed_amount = 400, refunded_amount = 400"
                " WHERE id = :reversed_top_up"
            ),
        ),
        set(),
    ),
    "a grant of another amount": (
        ("UPDATE credit_grants SET amount = amount + 1 WHERE id = :grant",),
        {("grant_deposits", "credit_grant", "{grant}")},
    ),
    "a grant in another currency": (
        ("UPDATE credit_grants SET currency = 'USD' WHERE id = :grant",),
        {("grant_deposits", "credit_grant", "{grant}")},
    ),
    "deposits of a grant that is not there": (
        ("DELETE FROM credit_grants WHERE id = :grant",),
        {("grant_deposits", "credit_grant", "{grant}")},
    ),
    "a grant that nobody got": (
        (
            (
                "INSERT INTO credit_grants (id, amount, currency, reason, created_by)"
                " SELECT :enrollment, amount, currency, reason, created_by FROM credit_grants"
            ),
        ),
        {("grant_deposits", "credit_grant", "{enrollment}")},
    ),
    "a deposit that counts to no grant": (
        (
            (
                "UPDATE wallet_transactions SET grant_id = NULL"
                " WHERE wallet_id = :granted_wallet AND seq = 1"
            ),
        ),
        {
            ("grant_deposits", "credit_grant", "{grant}"),
            ("top_up_deposit", "wallet_transaction", "{granted_wallet}/1"),
        },
    ),
    "a grant's deposit that is a top-up's too": (
        (
            (
                "UPDATE wallet_transactions SET top_up_id = :open_top_up"
                " WHERE wallet_id = :granted_wallet AND seq = 1"
            ),
        ),
        {
            ("grant_deposits", "wallet_transaction", "{granted_wallet}/1"),
            ("top_up_deposit", "top_up", "{open_top_up}"),
        },
    ),
    "a grant's deposit on another counter-account": (
        (
            (
                "UPDATE wallet_transactions SET counter_account = 'manual'"
                " WHERE wallet_id = :granted_wallet AND seq = 1"
            ),
        ),
        {("grant_deposits", "wallet_transaction", "{granted_wallet}/1")},
    ),
}
