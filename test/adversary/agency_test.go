package adversary

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/notice"
	"writ/unseal"
	"writ/warrant"
)

// TM-21: the agency and the docket, which signs what it likes, and the notary, which
// logs it, use a warrant without approvals: none, one office's, strangers', another
// warrant's, those of the same warrant with another salt, one approver twice.
func TestWarrantWithoutApprovals(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, false)
	lying := w.LyingLog()
	w.Gate.Turn(lying)
	other, _ := w.Warrant("ann")
	_, own := must2(ed25519.GenerateKey(nil))
	stranger := must(warrant.ParseApproverKey(own.Seed()))
	judge := w.Charter.Offices[0].Approvers[0].ID
	tried := uint64(0)
	for what, approvals := range map[string]func(p warrant.Public, good []warrant.Approval) []warrant.Approval{
		"none":               func(warrant.Public, []warrant.Approval) []warrant.Approval { return nil },
		"one office's":       func(_ warrant.Public, good []warrant.Approval) []warrant.Approval { return good[:1] },
		"the other office's": func(_ warrant.Public, good []warrant.Approval) []warrant.Approval { return good[1:] },
		"one approver twice": func(_ warrant.Public, good []warrant.Approval) []warrant.Approval {
			return []warrant.Approval{good[0], good[0]}
		},
		"another warrant's": func(warrant.Public, []warrant.Approval) []warrant.Approval {
			return w.Entry(other, s.c.Salt).Approvals
		},
		"with another salt": func(warrant.Public, []warrant.Approval) []warrant.Approval {
			return w.Entry(s.c.Warrant, [32]byte{1}).Approvals
		},
		"a stranger's in a judge's name": func(p warrant.Public, good []warrant.Approval) []warrant.Approval {
			return []warrant.Approval{stranger.Approve(p.Hash(), "judicial", judge), good[1]}
		},
		"a judge's in the other's office": func(p warrant.Public, good []warrant.Approval) []warrant.Approval {
			return []warrant.Approval{good[0], w.ApproverKey(judge).Approve(p.Hash(), "oversight", judge)}
		},
	} {
		s.c.Salt[0]++ // another entry
		x := w.Entry(s.c.Warrant, s.c.Salt)
		x.Approvals = approvals(x.Public, x.Approvals)
		warrantEntry, requestEntry := w.EntriesOf(x, s.c, ledger.DocketSigner(w.Docket), lying.Size(), s.capsule)
		at, to := lying.Add(warrantEntry), lying.Add(requestEntry)
		now := time.Now()
		refused(t, w, "approvals: "+what, s.pack(warrantEntry, lying.Proof(at, now, "a", "b"), requestEntry, lying.Proof(to, now, "a", "b")), unseal.ReasonApprovals)
		tried++
	}
	if book, _ := w.Book(); len(book.Findings()) != int(2*tried) {
		breach(t, "an auditor finds %v", book.Findings())
	}
}

// TM-29, TM-72: the thief of the docket's key wants to fill the cap with warrants that
// nobody approved. An honest notary takes none; with one that logs them all, the
// approved warrant that comes last still has the first place, and everyone sees them.
func TestStolenDocketKeyFillsNoCap(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) { c.Limits.CapSubjects = 2 }})
	s := speak(t, w, false)
	lying := w.LyingLog()
	size := lying.Size()
	approved := w.Entry(s.c.Warrant, s.c.Salt)
	for i := range w.Charter.Limits.CapSubjects + 1 {
		x := *approved
		x.Commitment = [32]byte{byte(i)}
		if i == 0 {
			x.Approvals = nil
		} // the others with approvals of another warrant
		x.Sign(ledger.DocketSigner(w.Docket))
		if at, err := w.Follower().Add(ctx, x.Entry()); err == nil {
			breach(t, "the notary logs a warrant that nobody approved at %d", at)
		}
		lying.Add(x.Entry())
	}
	w.Gate.Turn(lying)
	warrantEntry, requestEntry := w.Entries(s.c, ledger.DocketSigner(w.Docket), lying.Size(), s.capsule)
	at, to := lying.Add(warrantEntry), lying.Add(requestEntry)
	now := time.Now()
	p := s.pack(warrantEntry, lying.Proof(at, now, "a", "b"), requestEntry, lying.Proof(to, now, "a", "b"))
	for _, c := range w.Custodians {
		if out := must(w.Ask(c, p)); out.GetGranted() == nil {
			breach(t, "%s does not release under the approved warrant: %v", c.Who(), unseal.Reason(out.GetRefused().GetReason()))
		}
	}
	book, _ := w.Book()
	for i := range uint64(w.Charter.Limits.CapSubjects) + 1 {
		if !slices.ContainsFunc(book.Findings(), func(f ledger.Finding) bool { return f.Index == size+i && f.Rule == "LED-63" }) {
			breach(t, "an auditor does not find entry %d: %v", size+i, book.Findings())
		}
	}
}

// TM-21: they have all approvals and publish nothing: other entries' proofs, made-up
// ones, none.
func TestWarrantOffTheLog(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, false)
	logged := w.Authorise("ann")
	true1 := w.Package(logged, s.capsule)
	warrantEntry, requestEntry := w.Entries(s.c, ledger.DocketSigner(w.Docket), w.LyingLog().Size(), s.capsule)
	for what, proofs := range map[string][2][]byte{
		"another warrant's proof": {true1.WarrantProof, true1.RequestProof},
		"no proof":                {nil, nil},
	} {
		refused(t, w, what, s.pack(warrantEntry, proofs[0], requestEntry, proofs[1]), unseal.ReasonNotLogged)
	}
	swapped := *true1 // the published entries, and another warrant behind them
	swapped.Warrant, swapped.WarrantSalt = s.c.Warrant.Encode(), s.c.Salt
	refused(t, w, "another warrant's entries", &swapped, unseal.ReasonEntry)
	config := w.Examiner()
	w.Must(w.Agency.Lodge(ctx, s.c, w.Charter))
	w.ReadAndApprove(w.Agency.Docket, s.c.Warrant.Hash())
	if _, err := examine.Open(ctx, config, s.c); !errors.Is(err, examine.ErrNotPublished) {
		breach(t, "delivery and custodians serve a warrant that is not published: %v", err)
	}
}

// TM-22, TM-72: who steals the docket's disk and its key looks for targets, and opens
// envelopes with the keys there are.
func TestDocketKnowsNoTarget(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	w.Open(s.c)
	h := s.c.Warrant.Hash()
	got := must(w.Agency.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]}))
	stolen := append(dump(t, w.Lodged), got.Envelope...)
	lacks(t, "the docket", stolen, map[string][]byte{"the subject": []byte("\x03ann"), "the grounds": []byte(s.c.Warrant.Necessity), "the reference": []byte(s.c.Warrant.Reference),
		"the salt": s.c.Salt[:], "the conversation": s.id[:], "the words": []byte("the words in question"), "the reader key": s.c.Warrant.ReaderKey[:64]})
	for what, seed := range map[string][]byte{"the docket's key": w.Docket.Seed(), "the agency's key": w.AgencyKey.Seed()} {
		key, err := warrant.ParseMailKey(seed)
		w.Must(err)
		for _, o := range w.Charter.Offices {
			for _, a := range o.Approvers {
				if content, err := warrant.Open(got.Envelope, o.ID+"/"+a.ID, key); err == nil {
					breach(t, "%s opens the envelope: %d bytes", what, len(content))
				}
			}
		}
	}
}

// TM-23: after the approval the agency changes the warrant, each field that widens it,
// and asks for compartments that it doesn't name, which an obliging docket logs.
func TestScopeIsWidened(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id, elsewhere := w.Talk(ann, ben), w.Talk(ann, ben)
	ann.Say(id, "named")
	ben.Say(id, "received")
	ann.Say(elsewhere, "elsewhere")
	w.Sync(ann, ben)
	c := w.Authorise("ann", func(x *warrant.Warrant) { x.Conversations = [][]byte{id[:]} })
	past := w.Authorise("ann", func(x *warrant.Warrant) {
		x.WindowStart, x.WindowEnd = time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	})
	refused(t, w, "what the subject received", w.Package(c, ann.Capsule(id, 1, 1)), unseal.ReasonScopeSubject)
	refused(t, w, "another conversation", w.Package(c, ann.Capsule(elsewhere, 1, 0)), unseal.ReasonScopeList)
	refused(t, w, "another time", w.Package(past, ann.Capsule(id, 1, 0)), unseal.ReasonScopeWindow)
	good := w.Package(c, ann.Capsule(id, 1, 0))
	reader := must(unseal.NewReaderKey())
	for what, widen := range map[string]func(*warrant.Warrant){
		"subject":       func(x *warrant.Warrant) { x.Subject, x.SubjectAgain = "ben", "ben" },
		"direction":     func(x *warrant.Warrant) { x.Direction = warrant.SentAndReceived },
		"conversations": func(x *warrant.Warrant) { x.Conversations = nil },
		"window":        func(x *warrant.Warrant) { x.WindowStart = time.Now().Add(-48 * time.Hour).UTC().Format(time.RFC3339) },
		"life":          func(x *warrant.Warrant) { x.NotAfter += 86400 },
		"reader key":    func(x *warrant.Warrant) { x.ReaderKey = reader.Public() },
		"case type":     func(x *warrant.Warrant) { x.CaseType = w.Charter.CaseTypes[1] },
	} {
		x := *c.Warrant
		widen(&x)
		p := *good
		p.Warrant = x.Encode()
		refused(t, w, "a wider "+what, &p, unseal.ReasonEntry)
		entry := &ledger.Warrant{Public: x.Public(c.Salt, w.Charter), Approvals: must(ledger.ParseEntry(good.WarrantEntry)).Warrant.Approvals}
		entry.Sign(ledger.DocketSigner(w.Docket)) // by an obliging docket
		p.WarrantEntry = entry.Entry()
		refused(t, w, "a wider "+what+" with its own entry", &p, unseal.ReasonApprovals)
	}
}

// TM-24: the package holds more compartments than the request that was logged, or
// others, or the logged request is used under another salt.
func TestMoreThanWasLogged(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	id := w.Talk(s.ann, w.Person("eve"))
	s.ann.Say(id, "more")
	more := s.ann.Capsule(id, 1, 0)
	for what, change := range map[string]func(*examine.Package){
		"one more":        func(p *examine.Package) { p.Compartments = append(p.Compartments, examine.PackagePart{Capsule: more}) },
		"another instead": func(p *examine.Package) { p.Compartments = []examine.PackagePart{{Capsule: more}} },
		"the same twice": func(p *examine.Package) {
			p.Compartments = append(p.Compartments, p.Compartments[0])
		},
	} {
		p := w.Package(s.c, s.capsule)
		p.Compartments = slices.Clone(p.Compartments)
		change(p)
		refused(t, w, what, p, unseal.ReasonNotice)
	}
}

// TM-25: the agency publishes one warrant more than the law allows, and one of
// another case type, and asks each custodian for it, first of all.
func TestCapIsExceeded(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) { c.Limits.CapSubjects = 2 }})
	s := speak(t, w, true)
	within := w.Authorise("ben")
	for what, c := range map[string]*examine.Case{"one more": w.Authorise("ann"), "of another case type": w.Authorise("ann", func(x *warrant.Warrant) { x.CaseType = w.Charter.CaseTypes[1] })} {
		refused(t, w, what, w.Package(c, s.capsule), unseal.ReasonCap)
	}
	if out, err := w.Ask(w.Custodians[0], w.Package(within, s.capsule)); err != nil || out.GetRefused().GetReason() == uint32(unseal.ReasonCap) {
		t.Errorf("within the cap: %v, %v", out, err)
	}
	w.Open(s.c)
}

// TM-26: somebody with another reader key reads every answer on its way, and asks
// for the same request again under that key.
func TestAnotherReaderKey(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	p := w.Package(s.c, s.capsule)
	thief := must(unseal.NewReaderKey())
	hash := capsule.HashOf(s.capsule)
	for _, c := range w.Custodians {
		out, err := w.Ask(c, p)
		if err != nil || out.GetGranted() == nil {
			t.Fatal(out, err)
		}
		b := out.GetGranted().Release
		if bytes.Contains(b, hash[:]) {
			breach(t, "%s: the answer shows what it holds", c.Who())
		}
		r := must(unseal.ParseRelease(b))
		if shares, err := unseal.OpenRelease(r, thief, c.Public.Custodian.Key); err == nil {
			breach(t, "%s: another key opens %d shares", c.Who(), len(shares))
		}
		x := *s.c.Warrant
		x.ReaderKey = thief.Public()
		again := *p
		again.Warrant = x.Encode()
		out, err = w.Ask(c, &again)
		if err != nil {
			t.Fatal(err)
		}
		if out.GetGranted() != nil { // decided before: the same bytes, for the same reader
			if !bytes.Equal(out.GetGranted().Release, b) {
				breach(t, "%s releases to another key", c.Who())
			}
			continue
		}
		refusal(t, "another reader key", c, out, unseal.ReasonEntry)
	}
}

// TM-27: the agency changes the evidence: bits of the file, and whole parts of it
// that are each genuine.
func TestEvidenceIsAltered(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "no", "yes")
	w.Must(ann.Invite(ctx, id, "ben")) // no new epoch: he is in
	good := testenv.Contents(w.Open(w.Authorise("ann")))
	file := built(good, w.Policy)
	for i := 0; i < len(file); i += 1 + len(file)/150 {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if _, err := bundle.Verify(bad, w.Policy); err == nil {
			breach(t, "bit %d of byte %d of %d", i%8, i, len(file))
		}
	}
	for what, change := range map[string]func(c *bundle.Contents, m []bundle.Message){
		"in another order": func(_ *bundle.Contents, m []bundle.Message) {
			m[0].Ciphertext, m[1].Ciphertext = m[1].Ciphertext, m[0].Ciphertext
		},
		"at another time":      func(_ *bundle.Contents, m []bundle.Message) { m[0].Received -= 3600000 },
		"in another place":     func(_ *bundle.Contents, m []bundle.Message) { m[1].Seq += 10 },
		"one twice":            func(_ *bundle.Contents, m []bundle.Message) { m[1].Ciphertext = m[0].Ciphertext },
		"one set aside":        func(_ *bundle.Contents, m []bundle.Message) { m[1].Ciphertext = []byte("noise") },
		"a higher count":       func(c *bundle.Contents, _ []bundle.Message) { c.Compartments[0].Count++ },
		"another notice salt":  func(c *bundle.Contents, _ []bundle.Message) { c.NoticeSalt[0] ^= 1 },
		"another warrant salt": func(c *bundle.Contents, _ []bundle.Message) { c.WarrantSalt[0] ^= 1 },
		"another capsule":      func(c *bundle.Contents, _ []bundle.Message) { c.Compartments[0].Ratchet[0] ^= 1 },
	} {
		c := good
		c.Compartments = slices.Clone(good.Compartments)
		x := &c.Compartments[0]
		x.Messages, x.Ratchet = slices.Clone(x.Messages), bytes.Clone(x.Ratchet)
		change(&c, x.Messages)
		if b, _, err := bundle.Build(c, w.Policy); err == nil {
			breach(t, "%s: a bundle of %d bytes verifies", what, len(b))
		}
	}
}

// TM-53: a member who knows the hashes of the capsules of its own conversation looks
// for them on the log, with every salt it can think of.
func TestMemberLooksForOpenings(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	w.Open(s.c)
	_, list := w.Book()
	hash, found := capsule.HashOf(s.capsule), 0
	salts := [][32]byte{{}, w.Charter.Hash(), hash}
	for _, e := range list {
		salts = append(salts, e.Hash())
		if e.Warrant != nil {
			salts = append(salts, e.Warrant.Commitment)
		}
	}
	for _, e := range list {
		if e.Request == nil {
			continue
		}
		found++
		for i, salt := range salts {
			if slices.Contains(e.Request.Leaves, notice.Leaf(hash, salt)) {
				breach(t, "a member finds its conversation in the log with salt %d", i)
			}
		}
	}
	if found == 0 {
		t.Fatal("no request is logged")
	}
}

// TM-30: the agency opens a compartment whose words do not suit it, and says that its
// capsule was forged: without shares, with those it got, with others.
func TestAgencyCallsACapsuleForged(t *testing.T) {
	t.Parallel()
	w := small(t)
	speak(t, w, true)
	c := w.Authorise("ann")
	opened := w.Open(c)
	honest := testenv.Contents(opened)
	built(honest, w.Policy)
	released := w.Released(opened, c)
	sealed := parse(t, opened.Compartments[0].Capsule)
	combiner := must(unseal.NewCombiner(must(w.Charter.Access(sealed.Label().Period, nil))))
	true1 := combiner.Good(sealed, released)
	for what, shares := range map[string][][32]byte{
		"no shares": nil, "shares of its own": {{1}, {2}}, "the true ones": true1, "one of them": true1[:1],
		"the true ones and one more": append(slices.Clone(true1), [32]byte{3}),
	} {
		hidden := honest
		hidden.Accounts = nil // nothing that any account said is left
		hidden.Compartments = slices.Clone(honest.Compartments)
		hidden.Compartments[0].Ratchet, hidden.Compartments[0].SenderData, hidden.Compartments[0].Shares = nil, nil, shares
		if b, _, err := bundle.Build(hidden, w.Policy); err == nil {
			breach(t, "with %s: %s", what, must(bundle.Verify(b, w.Policy)).Text())
		}
	}
}
