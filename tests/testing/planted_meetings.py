"""Bugs in layers in which samples meet by ctx.gather."""

from __future__ import annotations

from typing import ClassVar, Literal

from planted import planted

from cnnkit.base import Layer, Weight


class GatheredCentre(Layer):
    """Subtracts the mean of the batch, which the shards put together; keeps a running one."""

    type: Literal["gathered_centre"] = "gathered_centre"
    couples_batch: ClassVar[bool] = True
    gathers: ClassVar[bool] = True

    def weights(self, shape):
        return {"mean": Weight(shape, 0.0, learns=False)}

    def total(self, parts, part):
        return sum(parts)

    def forward(self, x, w, ctx):
        if not ctx.training:
            return x - w["mean"], lambda dy: (dy, {})
        count = sum(ctx.gather(len(x)))
        mean = self.total(ctx.gather(x.sum(axis=0)), x.sum(axis=0)) / count
        self.keep(w, ctx, mean.astype(x.dtype), x)

        def backward(dy):
            total = self.total(ctx.gather(dy.sum(axis=0)), dy.sum(axis=0))
            return dy - (total / count).astype(x.dtype), {}

        return x - mean.astype(x.dtype), backward

    def keep(self, w, ctx, mean, x):
        ctx.renew("mean", w["mean"] / 2 + mean / 2)


@planted("meeting_is_declared")
class SaysNothing(GatheredCentre):
    """Gathers, and declares neither that nor that samples meet."""

    type: Literal["says_nothing"] = "says_nothing"
    couples_batch: ClassVar[bool] = False
    gathers: ClassVar[bool] = False


@planted("meeting_is_declared")
class GathersAlone(GatheredCentre):
    """Declares that it gathers, and not that samples meet."""

    type: Literal["gathers_alone"] = "gathers_alone"
    couples_batch: ClassVar[bool] = False


@planted("renews_what_does_not_learn")
class RenewsAnything(GatheredCentre):
    """Renews what is no weight of its."""

    type: Literal["renews_anything"] = "renews_anything"

    def keep(self, w, ctx, mean, x):
        ctx.renew("average", mean)


@planted("renews_what_does_not_learn")
class RenewsByNumber(GatheredCentre):
    """Renews a weight of many numbers by one."""

    type: Literal["renews_by_number"] = "renews_by_number"

    def keep(self, w, ctx, mean, x):
        ctx.renew("mean", float(mean.mean()))


@planted("renews_what_does_not_learn")
class RenewsInEvaluation(GatheredCentre):
    """Evaluation changes the running mean, too."""

    type: Literal["renews_in_evaluation"] = "renews_in_evaluation"

    def forward(self, x, w, ctx):
        if not ctx.training:
            self.keep(w, ctx, x.mean(axis=0), x)
        return super().forward(x, w, ctx)


@planted("gathered_shards_equal_batch")
class OwnSumOnly(GatheredCentre):
    """Gathers, and goes on with its own sum."""

    type: Literal["own_sum_only"] = "own_sum_only"

    def total(self, parts, part):
        return part


@planted("gathered_shards_equal_batch")
class FirstAndLast(GatheredCentre):
    """Adds the first and the last, which is right for two shards."""

    type: Literal["first_and_last"] = "first_and_last"

    def total(self, parts, part):
        return parts[0] + parts[-1] if len(parts) > 1 else part


@planted("gathered_shards_equal_batch")
class RenewsFromItself(GatheredCentre):
    """The running mean is made of the shard's own."""

    type: Literal["renews_from_itself"] = "renews_from_itself"

    def keep(self, w, ctx, mean, x):
        super().keep(w, ctx, x.mean(axis=0), x)


@planted("gathered_shards_equal_batch")
class ForgetsTheWayBack(GatheredCentre):
    """backward subtracts the shard's own mean."""

    type: Literal["forgets_the_way_back"] = "forgets_the_way_back"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        if not ctx.training:
            return y, back
        return y, lambda dy: (dy - dy.mean(axis=0), {})


@planted("gathered_shards_equal_batch")
class NotAllGather(GatheredCentre):
    """Gathers only where a shard has more than one sample: the others would wait for ever."""

    type: Literal["not_all_gather"] = "not_all_gather"

    def forward(self, x, w, ctx):
        if ctx.training and len(x) > 1:
            return super().forward(x, w, ctx)
        return x * 1, lambda dy: (dy * 1, {})
