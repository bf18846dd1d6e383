package adversary

import (
	"sync/atomic"
	"testing"
	"time"

	"writ/api"
	"writ/charter"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// TM-36, TM-37, TM-38: the agency uses a hold, which fewer limits bind, for more than to
// keep: to be given shares; for a neighbour of the same key period whose keys are destroyed,
// alone and together with what is kept; to begin another hold when the keys are gone; and
// after its end.
func TestHoldIsNoRelease(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) {
		c.Limits.KeyPeriod, c.Limits.MaxEpochAge, c.Limits.Horizon = 3600, 3600, 7200
		c.Limits.Freshness, c.Limits.MaxHold = 24*3600, 8*3600
	}})
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	clients := map[string]api.CustodianClient{}
	for _, c := range w.Custodians {
		config := w.CustodianConfig(c)
		config.Now, config.MaxAge = now, 24*time.Hour
		_, clients[c.Who()] = w.StartCustodian(config)
	}
	ann, ben := w.Person("ann"), w.Person("ben")
	id, elsewhere := w.Talk(ann, ben), w.Talk(ann, ben)
	ann.Say(id, "to be kept")
	ann.Say(elsewhere, "not to be kept")
	kept, neighbour := ann.Capsule(id, 1, 0), ann.Capsule(elsewhere, 1, 0)
	order := func(action warrant.Action, capsules ...[]byte) (*examine.Case, *examine.Package) {
		c := w.Authorise("ann", func(x *warrant.Warrant) { x.Action, x.NotAfter = action, x.NotBefore+48*3600 })
		return c, w.Package(c, capsules...)
	}
	ask := func(c testlaw.Custodian, p *examine.Package) *api.ReleaseResponse {
		t.Helper()
		return must(examine.Ask(ctx, clients[c.Who()], w.Charter, c.Office, c.Custodian, p))
	}
	hold, p := order(warrant.Preserve, kept)
	disclose := *hold.Warrant
	disclose.Action = warrant.Disclose
	changed := *p
	changed.Warrant = disclose.Encode()
	until := time.Unix(int64(hold.Warrant.NotBefore+w.Charter.Limits.MaxHold), 0)
	for _, c := range w.Custodians {
		refusal(t, "a hold rewritten", c, ask(c, &changed), unseal.ReasonEntry)
		for range 2 {
			out := ask(c, p)
			if out.GetGranted() != nil || out.GetKept() == nil {
				breach(t, "%s is asked to keep, and releases: %v", c.Who(), out)
			}
			if e, err := ledger.ParseEntry(out.GetKept().GetIntent()); err != nil || e.Preservation == nil {
				breach(t, "%s says that it releases: %v", c.Who(), err)
			}
			if got := out.GetKept().GetUntil(); got > uint64(until.Unix()) {
				breach(t, "%s keeps until %d, %d is allowed", c.Who(), got, until.Unix())
			}
		}
	}

	period := parse(t, kept).Label().Period
	ahead.Store(int64(time.Until(time.Unix(int64(w.Charter.DestroyBy(period))+1, 0))))
	waitFor(t, w, func(b *ledger.Book) bool {
		for _, c := range w.Custodians {
			if !b.Destroyed(c.Charter, c.Office, c.Custodian, period) {
				return false
			}
		}
		return true
	})
	_, alone := order(warrant.Disclose, neighbour)
	_, both := order(warrant.Disclose, kept, neighbour)
	_, again := order(warrant.Preserve, kept)
	_, open := order(warrant.Disclose, kept)
	for _, c := range w.Custodians {
		refusal(t, "a neighbour", c, ask(c, alone), unseal.ReasonHorizon)
		refusal(t, "both", c, ask(c, both), unseal.ReasonHorizon)
		refusal(t, "a hold of a hold", c, ask(c, again), unseal.ReasonHorizon)
	}
	if c := w.Custodians[0]; ask(c, open).GetGranted() == nil {
		t.Errorf("%s does not open what it keeps", c.Who())
	}
	ahead.Store(int64(time.Until(until)))
	_, late := order(warrant.Disclose, kept)
	for _, c := range w.Custodians {
		refusal(t, "after the hold's end", c, ask(c, late), unseal.ReasonHorizon)
	}
}
