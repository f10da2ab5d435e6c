"""The read-in by attention: softmax over what is shown, in turns or at once, and a model of it."""

import numpy as np
import pytest
import torch

from tasks.lnm.network import tokens
from tasks.lnm.network.tokens import TokenPool
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.query import decode
from tasks.lnm.results import train_and_examine

BATCH, PATCHES, PATCH, COLUMNS, WIDTH, HEADS = 2, 3, 2, 11, 8, 2


@pytest.fixture
def pool():
    torch.manual_seed(0)
    return TokenPool(WIDTH, HEADS).eval()


@pytest.fixture
def asked():
    """A latent, two readings of it, what is shown, and the rows of the columns."""
    torch.manual_seed(1)
    window = PATCHES * PATCH
    shown = torch.rand(BATCH, window, COLUMNS) < 0.4
    return (
        torch.randn(BATCH, PATCHES, WIDTH),
        (torch.randn(BATCH, window, COLUMNS), torch.randn(BATCH, window, COLUMNS)),
        shown,
        torch.randn(2, PATCH, COLUMNS, WIDTH),
    )


def attend_plainly(pool, latent, read, shown, row):
    """The definition: one patch, one head, one column at a time."""
    out = torch.zeros(BATCH, PATCHES, WIDTH)
    query = pool.query(pool.latent_norm(latent))
    for b in range(BATCH):
        for p in range(PATCHES):
            own = slice(p * PATCH, (p + 1) * PATCH)
            columns = [v for v in range(COLUMNS) if shown[b, own, v].any()]
            if not columns:
                continue
            found = torch.stack(
                [
                    pool.name(row[:, :, v].mean((0, 1)))
                    + sum(read[r][b, own, v] @ row[r, :, v] for r in range(2))
                    for v in columns
                ]
            )
            found = pool.token_norm(found)
            parts = []
            for h in range(HEADS):
                at = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
                key, value = pool.key(found)[:, at], pool.value(found)[:, at]
                score = key @ query[b, p, at] / (WIDTH // HEADS) ** 0.5
                parts.append(score.softmax(0) @ value)
            out[b, p] = pool.out(torch.cat(parts))
    return out


@pytest.mark.parametrize("most", [1, 4, 100])
def test_turns_add_up_to_attention_over_all_that_is_shown(pool, asked, most, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", most)
    torch.testing.assert_close(pool(*asked), attend_plainly(pool, *asked), atol=1e-5, rtol=1e-4)


def test_slopes_are_those_of_the_definition_and_nothing_is_read_where_nothing_is_shown(
    pool, asked, monkeypatch
):
    latent, read, shown, row = asked
    shown[0] = False
    monkeypatch.setattr(tokens, "MOST_TOKENS", 4)
    weight = torch.randn(BATCH, PATCHES, WIDTH)
    slopes = []
    for run in (pool, lambda *a: attend_plainly(pool, *a)):
        pool.zero_grad()
        found = run(latent, read, shown, row)
        assert not found[0].any()
        (found * weight).sum().backward()
        slopes.append([p.grad.clone() for p in pool.parameters()])
    for mine, plain in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, plain, atol=1e-5, rtol=1e-4)


def test_a_step_draws_columns_where_there_are_too_many(pool, asked, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_TOKENS", 5)
    whole = pool(*asked)
    pool.train()
    torch.manual_seed(0)
    one, two = pool(*asked), pool(*asked)
    assert torch.isfinite(one).all()
    assert not torch.allclose(one, two)
    assert not torch.allclose(one, whole)


def test_a_model_that_reads_tokens_learns_what_no_sum_knows_and_is_kept(
    product_session, quick, tmp_path
):
    settings = quick.model_copy(update={"read_in": "tokens", "generated_s": 0.0})
    result = train_and_examine(product_session, settings)
    scores = {(s.task, s.target): s for s in result.exam.scores if s.metric == "r2"}
    product = scores["decode", "running/product"]
    assert product.verdict == "win"
    assert product.model > product.baselines["ridge"] + 0.2
    save_model(result.model, tmp_path)
    answers = [decode(m, product_session)["mean"] for m in (result.model, load_model(tmp_path))]
    np.testing.assert_array_equal(*answers)
