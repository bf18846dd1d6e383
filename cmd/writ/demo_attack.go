package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/capsule"
	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/notice"
	"writ/setup"
	"writ/warrant"
)

// useUnlogged plays the agency and a docket that colludes with it: the approvals
// are real, only the public entries are missing.
func (s *story) useUnlogged(cmd *cobra.Command) error {
	s.title("The agency and the docket collude to use the warrant without publishing it")
	p, err := s.unlogged(cmd)
	if err != nil {
		return err
	}
	s.say(`All approvals are real, the docket signs the entries, and a true proof of another
entry stands where theirs should. Each of the seven custodians is asked.`)
	return s.allRefuse(cmd, p)
}

func (s *story) unlogged(cmd *cobra.Command) (*examine.Package, error) {
	c := s.cases["first"]
	h := c.Warrant.Hash()
	lodged, err := s.agency.agency.Docket.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil {
		return nil, callError(err)
	}
	file, err := setup.LoadKeyFile(filepath.Join(s.world.Dir, "docket", "docket.key"), setup.RoleDocket)
	if err != nil {
		return nil, err
	}
	key, err := file.SigningKey()
	if err != nil {
		return nil, err
	}
	law, err := s.agency.law(cmd, c.Warrant.Charter)
	if err != nil {
		return nil, err
	}
	part := s.wantedCapsule()
	approvals, err := warrant.ParseApprovals(lodged.Approvals)
	if err != nil {
		return nil, err
	}
	w := &ledger.Warrant{Public: c.Warrant.Public(c.Salt, law), Approvals: approvals}
	w.Sign(ledger.DocketSigner(key))
	r := &ledger.Request{WarrantIndex: 1, Warrant: ledger.HashEntry(w.Entry()),
		Leaves: [][32]byte{notice.Leaf(capsule.HashOf(part), c.NoticeSalt)}}
	if r.Round, r.Timelock, err = notice.Lock(law, c.Warrant, c.NoticeSalt); err != nil {
		return nil, err
	}
	r.Sign(ledger.DocketSigner(key))
	f, err := follower.New(follower.Config{URL: s.world.Deployment.Ledger, Policy: s.agency.trust.policy})
	if err != nil {
		return nil, err
	}
	_, proof, err := f.Proof(cmd.Context(), 0)
	if err != nil {
		return nil, err
	}
	return &examine.Package{Warrant: c.Warrant.Encode(), WarrantSalt: c.Salt,
		WarrantEntry: w.Entry(), WarrantProof: proof, RequestEntry: r.Entry(), RequestProof: proof,
		NoticeSalt: c.NoticeSalt, Compartments: []examine.PackagePart{{Capsule: part}}}, nil
}

// wantedCapsule is the stolen capsule of the compartment that the warrant names.
func (s *story) wantedCapsule() []byte {
	return s.findCapsule(func(l *capsule.Label) bool {
		return l.Account == s.talk.subject && bytes.Equal(l.Conversation, s.talk.conversation[:]) &&
			!l.OpenedAt().Before(s.talk.from) && l.OpenedAt().Before(s.talk.until)
	})
}

// findCapsule returns a stolen capsule whose label is wanted, or nil.
func (s *story) findCapsule(wanted func(*capsule.Label) bool) []byte {
	for _, list := range s.talk.capsules {
		for _, b := range list {
			if c, err := capsule.Parse(b); err == nil && wanted(c.Label()) {
				return b
			}
		}
	}
	return nil
}

// allRefuse sends a package to every custodian and demands refusals.
func (s *story) allRefuse(cmd *cobra.Command, p *examine.Package) error {
	refused, total, why := 0, 0, map[string]int{}
	law, clients := s.law(), s.agency.custodians()
	for _, o := range law.Offices {
		for _, cu := range o.Custodians {
			total++
			client := clients[o.ID+"/"+cu.ID]
			answer, err := examine.Ask(cmd.Context(), client, law, o.ID, cu.ID, p)
			if err != nil {
				return callError(err)
			}
			e, err := ledger.ParseEntry(answer.GetRefused().GetRefusal())
			if err == nil && e.Refusal != nil && e.Refusal.Verify(cu.Key) {
				refused++
				why[examine.Reason(e.Refusal.Reason).String()]++
			}
		}
	}
	s.must(refused == total, "%d of %d custodians refuse, each with its signature", refused, total)
	for reason, n := range why {
		s.say("     %d x %q", n, reason)
	}
	return nil
}

// tryNeighbours asks custodians, under the published warrant and its logged request,
// for compartments next to the one it names.
func (s *story) tryNeighbours(cmd *cobra.Command) error {
	t := &s.talk
	s.title("The neighbours stay closed")
	if err := s.processes.start(cmd.Context(), filepath.Join("custodian", "judicial-3"),
		filepath.Join("custodian", "oversight-1"), filepath.Join("custodian", "publication-1")); err != nil {
		return err
	}
	in := func(l *capsule.Label) bool { return bytes.Equal(l.Conversation, t.conversation[:]) }
	before := func(l *capsule.Label) bool { return l.OpenedAt().Before(t.from) }
	after := func(l *capsule.Label) bool { return !l.OpenedAt().Before(t.until) }
	for _, n := range []struct {
		what string
		is   func(*capsule.Label) bool
	}{
		{"the epoch before, same person, same conversation", func(l *capsule.Label) bool { return l.Account == t.subject && in(l) && before(l) }},
		{"the epoch after, same person, same conversation", func(l *capsule.Label) bool { return l.Account == t.subject && in(l) && after(l) }},
		{"another person, same conversation, same epoch", func(l *capsule.Label) bool { return l.Account != t.subject && in(l) && !before(l) && !after(l) }},
		{"same person, another conversation", func(l *capsule.Label) bool { return l.Account == t.subject && !in(l) }},
	} {
		part := s.findCapsule(n.is)
		if part == nil {
			s.say("(%s: nobody spoke there in this chat)", n.what)
			continue
		}
		p, err := s.neighbour(cmd, part)
		if err != nil {
			return err
		}
		s.say("Asked for %s:", n.what)
		if err := s.allRefuse(cmd, p); err != nil {
			return err
		}
	}
	return nil
}

// neighbour logs a request, with the docket's help, for a compartment outside
// the published warrant.
func (s *story) neighbour(cmd *cobra.Command, part []byte) (*examine.Package, error) {
	c := s.cases["first"]
	h := c.Warrant.Hash()
	lodged, err := s.agency.agency.Docket.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: h[:]})
	if err != nil {
		return nil, callError(err)
	}
	leaf := notice.Leaf(capsule.HashOf(part), c.NoticeSalt)
	round, timelock, err := notice.Lock(s.law(), c.Warrant, c.NoticeSalt)
	if err != nil {
		return nil, err
	}
	e, err := s.agency.agency.Request(cmd.Context(), h, [][]byte{leaf[:]}, round, timelock)
	if err != nil {
		return nil, callError(err)
	}
	f, err := follower.New(follower.Config{URL: s.world.Deployment.Ledger, Policy: s.agency.trust.policy})
	if err != nil {
		return nil, err
	}
	p := &examine.Package{Warrant: c.Warrant.Encode(), WarrantSalt: c.Salt,
		NoticeSalt: c.NoticeSalt, Compartments: []examine.PackagePart{{Capsule: part}}}
	if p.WarrantEntry, p.WarrantProof, err = f.Proof(cmd.Context(), lodged.Index); err != nil {
		return nil, err
	}
	p.RequestEntry, p.RequestProof, err = f.Proof(cmd.Context(), e.Index)
	return p, err
}

// goBeyondCap publishes as many warrants as the law allows in a day, and one more.
func (s *story) goBeyondCap(cmd *cobra.Command) error {
	s.title("One warrant more than the law allows")
	var last *examine.Case
	for n := 2; n <= demoCap+1; n++ {
		c, err := s.order(cmd, fmt.Sprintf("number-%d", n), s.talk.subject)
		if err != nil {
			return err
		}
		for _, approver := range []string{"judge-2", "commissioner-2"} {
			if err := s.approve(cmd, c, approver); err != nil {
				return err
			}
		}
		if _, err := s.agency.agency.Publish(cmd.Context(), c.Warrant.Hash()); err != nil {
			return callError(err)
		}
		last = c
	}
	s.say("The law allows %d warrants a day. Number %d is approved by everybody and published\nlike the others.", demoCap, demoCap+1)
	_, err := s.agency.open(cmd, last)
	// Custodians count for themselves too; delivery is asked before them.
	counted := err != nil && strings.Contains(err.Error(), fmt.Sprintf("number %d of at most %d", demoCap+1, demoCap))
	s.must(counted, "delivery, by its own count of the ledger, hands out nothing for it, not even sealed:\n        %s", short(err))
	return nil
}
