package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/examine"
	"writ/follower"
	"writ/ledger"
	"writ/mls"
	"writ/notice"
	"writ/setup"
	"writ/warrant"
)

// law is the charter of the world.
func (s *story) law() *charter.Charter {
	c, err := charter.Parse(s.world.Signed.Charter)
	if err != nil {
		panic("the world's charter was validated when it was made: " + err.Error())
	}
	return c
}

// order drafts and lodges a warrant for what an account said in the conversation's
// middle epoch.
func (s *story) order(cmd *cobra.Command, name, subject string) (*examine.Case, error) {
	w := &warrant.Warrant{
		Charter: s.world.Signed.Hash(), Reference: "DEMO/" + name, LegalType: "interception warrant", CaseType: "serious-crime",
		Jurisdiction: s.law().Jurisdiction, LegalEntity: "the agency", Subject: subject, SubjectAgain: subject,
		Direction: warrant.Sent, Conversations: [][]byte{s.talk.conversation[:]},
		WindowStart: s.talk.from.UTC().Format(time.RFC3339), WindowEnd: s.talk.until.UTC().Format(time.RFC3339),
		NotBefore: uint64(time.Now().Unix()), NotAfter: uint64(time.Now().Add(24 * time.Hour).Unix()),
		Necessity:      "Payments are split to stay below the reporting threshold; who ordered it is not known.",
		LeastIntrusive: "The bank's records show the payments but not who gave the instructions.",
		ReaderKey:      s.agency.reader.Public(), NoticeDue: uint64(s.talk.until.Add(30 * 24 * time.Hour).Unix()),
	}
	rand.Read(w.ID[:])
	c, err := s.agency.lodge(cmd, name, w)
	if err != nil {
		return nil, err
	}
	s.cases[name] = c
	return c, nil
}

// approve has an approver read a warrant and sign it.
func (s *story) approve(cmd *cobra.Command, c *examine.Case, approver string) error {
	h := c.Warrant.Hash()
	deployment, key := filepath.Join(s.world.Dir, setup.DeploymentFile), filepath.Join(s.world.Dir, "keys", approver+".key")
	o, err := approverFlags{&deployment, &key}.read(cmd, fmt.Sprintf("%x", h))
	if err != nil {
		return err
	}
	_, err = o.sign(cmd.Context())
	return err
}

func (s *story) draftWarrant(cmd *cobra.Command) error {
	t := &s.talk
	s.title("An agency drafts a warrant; two offices must agree")
	c, err := s.order(cmd, "first", t.subject)
	if err != nil {
		return err
	}
	s.say(`It names one account (%s), one conversation, and a window of %s in which
the middle epoch was opened. It is sealed to the approvers: the docket that
collects their signatures can't read it.`, t.subject, t.until.Sub(t.from))
	if err := s.approve(cmd, c, "judge-1"); err != nil {
		return err
	}
	_, err = s.agency.agency.Publish(cmd.Context(), c.Warrant.Hash())
	s.must(err != nil, "with the court's signature alone it is not published: %s", short(err))
	if err := s.approve(cmd, c, "commissioner-1"); err != nil {
		return err
	}
	s.say("The oversight commission reads it and signs too.")
	stored, err := readAll(filepath.Join(s.world.Dir, "docket"), "docket.db*")
	if err != nil {
		return err
	}
	s.must(!bytes.Contains(stored, []byte("Payments are split")), "the docket's own files show no grounds of it")
	return nil
}

// readAll returns the bytes of files that match, one after the other.
func readAll(dir, pattern string) (all []byte, err error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	for _, name := range names {
		b, readErr := readFile(name)
		all, err = append(all, b...), errors.Join(err, readErr)
	}
	return all, err
}

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
	part := s.wantedCapsule()
	w := &ledger.Warrant{Commitment: warrant.Commitment(c.Salt, h), Charter: c.Warrant.Charter, CaseType: c.Warrant.CaseType,
		Offices: []string{"judicial", "oversight"}, Window: c.Warrant.WindowLength(), NotBefore: c.Warrant.NotBefore, NotAfter: c.Warrant.NotAfter}
	w.Sign(ledger.DocketSigner(key))
	r := &ledger.Request{WarrantIndex: 1, Warrant: ledger.HashEntry(w.Entry()),
		Leaves: [][32]byte{notice.Leaf(capsule.HashOf(part), c.NoticeSalt)}}
	r.Sign(ledger.DocketSigner(key))
	f, err := follower.New(follower.Config{URL: s.world.Deployment.Ledger, Policy: s.agency.trust.policy})
	if err != nil {
		return nil, err
	}
	_, proof, err := f.Proof(cmd.Context(), 0)
	if err != nil {
		return nil, err
	}
	return &examine.Package{Warrant: c.Warrant.Encode(), Approvals: lodged.Approvals, WarrantSalt: c.Salt,
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
	law := s.law()
	for _, o := range law.Offices {
		for _, cu := range o.Custodians {
			total++
			client := s.agency.config(0).Custodians[o.ID+"/"+cu.ID]
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

func (s *story) publishWarrant(cmd *cobra.Command) error {
	s.title("The warrant is published, and everybody can see that there is one")
	c := s.cases["first"]
	e, err := s.agency.agency.Publish(cmd.Context(), c.Warrant.Hash())
	if err != nil {
		return callError(err)
	}
	entry, err := ledger.ParseEntry(e.Entry)
	if err != nil || entry.Warrant == nil {
		return errors.Join(errors.New("the docket published something else"), err)
	}
	w := entry.Warrant
	s.say(`Entry %d of the ledger, cosigned by a majority of its witnesses, says: a warrant of
case type %q, approved by %s, window %d s, to be used until %s.
Its subject is a salted commitment: %x...`, e.Index, w.CaseType, strings.Join(w.Offices, " and "), w.Window,
		time.Unix(int64(w.NotAfter), 0).UTC().Format("2 Jan 15:04 UTC"), w.Commitment[:8])
	s.must(!bytes.Contains(e.Entry, []byte(c.Warrant.Subject)), "the entry does not show who is meant")
	return nil
}

// lackOneOffice stops one whole office and tries to open with the two others.
func (s *story) lackOneOffice(cmd *cobra.Command) error {
	s.title("A quorum that lacks one office opens nothing")
	s.processes.stop("publication-1", "publication-2")
	s.say("Both custodians of the publishers are switched off. All five others are willing.")
	began := time.Now()
	_, err := examine.Open(cmd.Context(), s.agency.config(time.Minute), s.cases["first"])
	var blocked *examine.BlockedError
	if !errors.As(err, &blocked) {
		s.must(false, "opening fails for lack of shares: %v", err)
		return nil
	}
	s.must(len(blocked.Released) == 5, "%d custodians released their shares, and the compartment stays closed (%.1f s)",
		len(blocked.Released), time.Since(began).Seconds())
	return nil
}

// openCompartment opens with one custodian of each office away.
func (s *story) openCompartment(cmd *cobra.Command) error {
	s.title("The warrant opens exactly what it names")
	s.processes.stop("judicial-3", "oversight-1")
	if err := s.processes.start(cmd.Context(), filepath.Join("custodian", "publication-2")); err != nil {
		return err
	}
	began := time.Now()
	o, err := openCase(cmd, s.agency.config(time.Minute), s.cases["first"])
	if err != nil {
		return examineError(err)
	}
	took := time.Since(began)
	s.bundle = filepath.Join(s.world.Dir, "bundle.writ")
	list, err := writeBundles(o, s.agency.trust.policy, s.bundle)
	if err != nil {
		return err
	}
	report := list[0].report
	s.say("One custodian of each office is away; the four others suffice. It takes %.1f s:", took.Seconds())
	s.say("request logged, each intent logged before its share, shares combined, capsule\nre-sealed and compared, signatures of messages verified.")
	var texts []string
	for _, c := range report.Compartments {
		for _, m := range c.Messages {
			if m.Text != nil {
				texts = append(texts, *m.Text)
				s.say("     %s: %s", c.Account, *m.Text)
			}
		}
	}
	s.must(equal(texts, s.talk.wanted), "these are all %d messages %s sent there in that epoch, and nothing else", len(s.talk.wanted), s.talk.subject)
	s.fact("open_seconds", took.Seconds())
	return s.openOthers(list[0].opened)
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

// openOthers tries the secrets that were released on every stolen message.
func (s *story) openOthers(o *examine.Opened) error {
	opened, tried := 0, 0
	for _, c := range o.Compartments {
		parsed, err := capsule.Parse(c.Capsule)
		if err != nil {
			return err
		}
		l := parsed.Label()
		group, err := mls.ParseGroupContext(c.GroupContext)
		if err != nil {
			return err
		}
		leaf, err := mls.VerifyLeafProof(group.Suite, group.TreeHash, mls.LeafIndex(l.Leaf), c.LeafProof)
		if err != nil {
			return err
		}
		opener, err := mls.NewSenderOpener(group.Suite, c.Ratchet, c.SenderData, mls.LeafIndex(l.Leaf), c.GroupContext, leaf.SignatureKey)
		if err != nil {
			return err
		}
		defer opener.Erase()
		for _, m := range s.talk.stolen {
			if bytes.Equal(m.Conversation, l.Conversation) && m.Epoch == l.Epoch && m.Sender == l.Leaf {
				continue
			}
			tried++
			if _, err := opener.Open(m.Body); err == nil {
				opened++
			}
		}
	}
	s.must(opened == 0 && tried > 0, "tried on all %d other ciphertexts of the stolen database, the released secrets open %d", tried, opened)
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
	e, err := s.agency.agency.Request(cmd.Context(), h, [][]byte{leaf[:]})
	if err != nil {
		return nil, callError(err)
	}
	f, err := follower.New(follower.Config{URL: s.world.Deployment.Ledger, Policy: s.agency.trust.policy})
	if err != nil {
		return nil, err
	}
	p := &examine.Package{Warrant: c.Warrant.Encode(), Approvals: lodged.Approvals, WarrantSalt: c.Salt,
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
	_, err := examine.Open(cmd.Context(), s.agency.config(time.Minute), last)
	var blocked *examine.BlockedError
	if !errors.As(err, &blocked) {
		s.must(false, "custodians refuse it: %v", err)
		return nil
	}
	s.must(len(blocked.Released) == 0 && len(blocked.Refusals) == 7, "%d of 7 custodians refuse it, each from its own count of the ledger", len(blocked.Refusals))
	if len(blocked.Refusals) > 0 {
		s.say("     %q", blocked.Refusals[0].Reason)
	}
	return nil
}

// checkEvidence verifies the bundle offline, and with bits changed.
func (s *story) checkEvidence(*cobra.Command) error {
	s.title("The evidence is verified offline, by anyone")
	b, err := readFile(s.bundle)
	if err != nil {
		return err
	}
	began := time.Now()
	report, err := bundle.Verify(b, s.agency.trust.policy)
	if err != nil {
		s.must(false, "the bundle verifies: %v", err)
		return nil
	}
	took := time.Since(began)
	s.say("%s is one file of %d bytes. With the witness policy and nothing else:", filepath.Base(s.bundle), len(b))
	for _, c := range report.Checks {
		s.say("  - %s", c.Shows)
	}
	s.must(report.Complete, "it verifies in %d ms: %s", took.Milliseconds(), report.Verdict())
	const flips = 256
	noticed := 0
	for i := range flips {
		at := i * (len(b) - 1) / (flips - 1)
		b[at] ^= 1 << (i % 8)
		if _, err := bundle.Verify(b, s.agency.trust.policy); err != nil {
			noticed++
		}
		b[at] ^= 1 << (i % 8)
	}
	s.must(noticed == flips, "with one bit changed, in %d places, it fails %d times", flips, noticed)
	s.fact("bundle_bytes", len(b))
	return nil
}

// auditLedger recounts everything from the log's own files.
func (s *story) auditLedger(cmd *cobra.Command) error {
	s.title("An auditor recomputes the statistics from the log's files")
	if err := s.refusalsLogged(cmd); err != nil {
		return err
	}
	a, err := audit(cmd.Context(), filepath.Join(s.world.Dir, "notary", "log"), s.agency.trust.policy, 0, nil)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	a.print(&out)
	s.say("%s", strings.TrimSpace(out.String()))
	real := a.Statistics.Laws[s.law().Name].Real
	s.must(real.Warrants == demoCap+1, "every warrant of this story is there: %d", real.Warrants)
	released := 0
	for _, n := range real.ReleasesByCustodian {
		released += n
	}
	s.must(released == 6, "every release is there: %d, of five custodians when one office lacked, and of one more when it did not", released)
	s.fact("audit", a)
	return nil
}
