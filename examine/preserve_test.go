package examine_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"writ/api"
	"writ/examine"
	"writ/warrant"
)

// R28: a hold on real services. Custodians keep what is named, delivery shows capsules and
// no messages, nothing opens under it, and it opens nothing later without its own warrant.
func TestPreserve(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	ann, _, with := s.annAndBen()
	s.say(ann, with, "one", "two")
	c := s.authorise("ann", func(w *warrant.Warrant) { w.Action = warrant.Preserve })
	disclosed := showing{DeliveryClient: s.delivery}
	config := s.config()
	config.Delivery = &disclosed
	held, err := examine.Preserve(ctx, config, c)
	s.must(err)
	if len(held.Parts) != 1 || held.Parts[0].Compartments != 1 || len(held.Parts[0].Custodians) != 5 ||
		held.Parts[0].Until != c.Warrant.NotBefore+s.Charter.Limits.MaxHold || held.Parts[0].Until < uint64(time.Now().Unix()) {
		t.Fatalf("held %+v", held)
	}
	if disclosed.messages != 0 || disclosed.counts != 0 || disclosed.capsules != 1 {
		t.Errorf("delivery showed %d messages, counts of %d, %d capsules", disclosed.messages, disclosed.counts, disclosed.capsules)
	}
	if again, err := examine.Preserve(ctx, s.config(), c); err != nil || again.Parts[0].Request.Index != held.Parts[0].Request.Index {
		t.Errorf("again: %+v, %v", again, err)
	}
	lying, liar := s.config(), s.Custodians[0].Who()
	for name, until := range map[string]uint64{"longer than the law": held.Parts[0].Until + 1, "over already": uint64(time.Now().Unix()) - 1, "never": 0} {
		lying.Custodians = maps.Clone(s.custodians)
		lying.Custodians[liar] = twisted{s.custodians[liar], func(r *api.ReleaseResponse) { r.GetKept().Until = until }}
		again, err := examine.Preserve(ctx, lying, c)
		s.must(err)
		if p := again.Parts[0]; slices.Contains(p.Custodians, liar) || p.Until != held.Parts[0].Until {
			t.Errorf("%s: kept by %v until %d", name, p.Custodians, p.Until)
		}
	}
	if _, err := examine.Open(ctx, s.config(), c); err == nil || errors.Is(err, examine.ErrTooFew) {
		t.Errorf("opened under a hold: %v", err)
	}
	open := s.authorise("ann", func(*warrant.Warrant) {})
	if _, err := examine.Preserve(ctx, s.config(), open); err == nil {
		t.Error("held under an opening")
	}
	opened, err := openOne(s.config(), open)
	s.must(err)
	if got := s.read(opened); len(got) != 2 {
		t.Errorf("read %q", got)
	}
	if b, _ := s.Book(); len(b.Findings()) > 0 {
		t.Errorf("findings %v", b.Findings())
	}
}

// showing counts what delivery shows.
type showing struct {
	api.DeliveryClient
	messages, counts, capsules int
}

func (d *showing) Disclose(ctx context.Context, r *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	out, err := d.DeliveryClient.Disclose(ctx, r)
	for _, c := range out.GetCompartments() {
		d.messages, d.counts, d.capsules = d.messages+len(c.Messages), d.counts+int(c.Count), d.capsules+len(c.Capsules)
	}
	return out, err
}
