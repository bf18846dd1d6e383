package adversary

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/client"
	"writ/directory"
	"writ/examine"
	"writ/internal/forger"
	"writ/internal/testenv"
	"writ/mls"
	"writ/warrant"
)

// post sends a message of the person's own group past its own client, with any
// capsule put before it and any authenticated data.
func post(t testing.TB, p *testenv.Person, id client.ConversationID, sealed, ad []byte, text string) error {
	t.Helper()
	if sealed != nil {
		if _, err := p.API().PutCapsule(ctx, &api.PutCapsuleRequest{Capsule: sealed}); err != nil {
			return err
		}
	}
	g := p.Group(id)
	message, _, err := g.Protect(ad, capsule.Content(g.Generation(), []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.API().Append(ctx, &api.AppendRequest{Conversation: id[:], Mid: mid(), Message: message})
	return err
}

// own seals the person's compartment under a law, from secrets that change has had.
func own(t testing.TB, w *testenv.World, p *testenv.Person, id client.ConversationID, law *charter.Charter, change func(ratchet []byte)) *capsule.Capsule {
	t.Helper()
	g := p.Group(id)
	var accounts []string
	for _, leaf := range g.Members() {
		accounts = append(accounts, must(directory.ParseIdentity(leaf.Credential.Identity)).Account)
	}
	ratchet, senderData, err := g.SenderSecrets(g.Epoch(), g.OwnLeaf())
	w.Must(err)
	change(ratchet)
	page := must(p.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages
	opened := openedBy(t, page, g.Epoch())
	l := &capsule.Label{Suite: uint16(g.Suite()), Conversation: id[:], Epoch: g.Epoch(), Leaf: uint32(g.OwnLeaf()), Account: p.Account, Device: "phone",
		Charter: law.Hash(), Opened: opened, Roster: directory.RosterRoot(accounts)}
	l.Period = law.Period(l.OpenedAt())
	return must(must(capsule.NewSealer(must(law.Access(l.Period, nil)))).Seal(l, ratchet, senderData))
}

// openedBy takes the opening time out of the commit that began an epoch.
func openedBy(t testing.TB, page []*api.Message, epoch uint64) uint64 {
	t.Helper()
	for _, m := range page {
		if e, err := mls.Inspect(m.Body); err == nil && m.Kind == api.Kind_KIND_COMMIT && m.Epoch+1 == epoch {
			var at uint64
			for _, b := range e.AuthenticatedData {
				at = at<<8 | uint64(b)
			}
			return at
		}
	}
	t.Fatal("the commit is not there")
	return 0
}

// TM-41: a sender seals wrongly: another secret, shares of noise, a capsule that is not
// hers. An honest receiver holds it and deposits the right one.
func TestWrongCapsule(t *testing.T) {
	t.Parallel()
	w := small(t)
	for what, seal := range map[string]func(eve *testenv.Person, id client.ConversationID) []byte{
		"another secret": func(eve *testenv.Person, id client.ConversationID) []byte {
			return own(t, w, eve, id, w.Charter, func(r []byte) { r[0] ^= 1 }).Bytes()
		},
		"a broken share": func(eve *testenv.Person, id client.ConversationID) []byte {
			return forger.Capsule(own(t, w, eve, id, w.Charter, func([]byte) {}), func(_ *capsule.Label, _ *[]byte, shares *[]capsule.Share) {
				(*shares)[0].Ciphertext = bytes.Repeat([]byte{1}, len((*shares)[0].Ciphertext))
			})
		},
		"a broken body": func(eve *testenv.Person, id client.ConversationID) []byte {
			return forger.Capsule(own(t, w, eve, id, w.Charter, func([]byte) {}), func(_ *capsule.Label, body *[]byte, _ *[]capsule.Share) { (*body)[0] ^= 1 })
		},
	} {
		name := strings.ReplaceAll(what, " ", "-")
		eve, ann := w.Person("eve-"+name), w.Person("ann-"+name)
		id := w.Talk(eve, ann)
		right := own(t, w, eve, id, w.Charter, func([]byte) {})
		wrong := seal(eve, id)
		h := capsule.HashOf(wrong)
		w.Must(post(t, eve, id, wrong, h[:], "secret plans"))
		w.Sync(ann)
		hides(t, ann, id, "secret plans")
		told(t, ann, id, client.Held, "wrong capsule")
		if !slices.ContainsFunc(ann.Capsules(id, 1, 0), func(b []byte) bool { return bytes.Equal(b, right.Bytes()) }) {
			breach(t, "%s: the right capsule is not deposited", what)
		}
	}
}

// TM-42, TM-52: a member frames another, through an honest delivery: it encrypts
// under her keys, signs as it can, and names her capsule or its own.
func TestMemberFramesAnother(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, eve := w.Person("ann"), w.Person("eve")
	_, key := must2(ed25519.GenerateKey(nil))
	content := string(capsule.Content(1, []byte("I confess")))
	for what, sign := range map[string]func(*forger.Forger) []byte{
		"unsigned":      func(*forger.Forger) []byte { return nil },
		"a fresh key's": func(f *forger.Forger) []byte { return f.Sign(key, content) },
		"the member's":  func(f *forger.Forger) []byte { return f.Sign(ed25519.NewKeyFromSeed(signingSeed(t, eve)), content) },
	} {
		ben := w.Person("ben-" + strings.Map(letters, what)) // each forgery is the first of its place
		id := w.Talk(ann, ben, eve)
		forge := eve.Forger(id, 0, capsule.Hash{})
		ann.Say(id, "my own words")
		eve.Say(id, "I am here")
		w.Sync(eve)
		post := func(named capsule.Hash) error {
			forge.AuthenticatedData = named[:]
			_, err := eve.API().Append(ctx, &api.AppendRequest{Conversation: id[:], Mid: mid(), Message: forge.Encrypt(1, content, sign(forge))})
			return err
		}
		if err := post(capsule.HashOf(eve.Capsule(id, forge.Epoch, 0))); err == nil {
			breach(t, "%s: delivery takes a message of eve's that names ann's capsule", what)
		}
		w.Must(post(capsule.HashOf(eve.Capsule(id, forge.Epoch, 2)))) // its own it may name, and delivery can't look inside
		w.Sync(ben)
		hides(t, ben, id, "I confess")
		if told := ben.Told(id, client.Fault); len(told) != 1 {
			breach(t, "%s: ben is told %q", what, told)
		}
	}
}

// TM-6, TM-42: what ben is left with, delivery and the agency put into evidence: they
// know the secrets of an opened compartment, and delivery signs their list.
func TestEvidenceIsForged(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "no", "yes")
	good := testenv.Contents(w.Open(w.Authorise("ann")))
	x := good.Compartments[0]
	l := parse(t, x.Capsule).Label()
	h := capsule.HashOf(x.Capsule)
	f := &forger.Forger{Ratchet: x.Ratchet, SenderData: x.SenderData, Group: id[:], Epoch: l.Epoch, Leaf: l.Leaf, Context: x.GroupContext, AuthenticatedData: h[:]}
	_, key := must2(ed25519.GenerateKey(nil))
	said := func(n uint32, text string) string { return string(capsule.Content(n, []byte(text))) }
	first, second := must(f.SignatureOf(0, x.Messages[0].Ciphertext)), must(f.SignatureOf(1, x.Messages[1].Ciphertext))
	for what, list := range map[string][][]byte{
		"one added":             {x.Messages[0].Ciphertext, x.Messages[1].Ciphertext, f.Encrypt(2, said(2, "I confess"), f.Sign(key, said(2, "I confess")))},
		"added by delivery":     {x.Messages[0].Ciphertext, x.Messages[1].Ciphertext, f.Encrypt(2, said(2, "I confess"), f.Sign(w.Delivery, said(2, "I confess")))},
		"hers, said once more":  {x.Messages[0].Ciphertext, x.Messages[1].Ciphertext, f.Encrypt(2, said(1, "yes"), second)},
		"in another order":      {f.Encrypt(0, said(1, "yes"), second), f.Encrypt(1, said(0, "no"), first)},
		"the hole closed":       {f.Encrypt(0, said(1, "yes"), second)},
		"another text":          {f.Encrypt(0, said(0, "ja"), first), x.Messages[1].Ciphertext},
		"numbered by a forger":  {x.Messages[0].Ciphertext, f.Encrypt(1, said(1, "no"), first)},
		"without any signature": {f.Encrypt(0, said(0, "I confess"), nil)},
	} {
		part := x
		part.Messages = nil
		for i, b := range list {
			part.Messages = append(part.Messages, bundle.Message{Seq: x.Messages[0].Seq + uint64(i), Received: x.Messages[0].Received, Ciphertext: b})
		}
		state(w, &part)
		forged := good
		forged.Compartments = []bundle.Compartment{part}
		file, _, err := bundle.Build(forged, w.Policy)
		if err != nil {
			continue // refused whole
		}
		report := must(bundle.Verify(file, w.Policy))
		if report.Complete {
			breach(t, "%s: the report calls itself complete", what)
		}
		for i, m := range report.Compartments[0].Messages {
			if m.Text != nil && (i > 1 || *m.Text != []string{"no", "yes"}[i]) {
				breach(t, "%s: in place %d stands %q", what, i, *m.Text)
			}
		}
	}
}

// state signs a compartment as delivery does, whatever is in it.
func state(w *testenv.World, c *bundle.Compartment) {
	l := must(capsule.Parse(c.Capsule)).Label()
	var list capsule.MessageList
	for _, m := range c.Messages {
		list.Add(m.Seq, m.Received, sha256.Sum256(m.Ciphertext))
	}
	c.Count = uint32(len(c.Messages))
	s := capsule.Statement{Conversation: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf, Opened: l.Opened, Context: sha256.Sum256(c.GroupContext), Count: c.Count, Messages: list.Hash()}
	c.Statement = s.Sign(w.Delivery)
}

// TM-43: a sender wants her words under no law, or under one that she wrote: without a
// capsule, with one of another law, from a leaf that names a law nobody knows.
func TestHidesUnderAnotherLaw(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, eve := w.Person("ann"), w.Person("eve")
	id := w.Talk(eve, ann)
	another := *w.Charter
	another.LegalBasis = "my own will"
	foreign := own(t, w, eve, id, &another, func([]byte) {})
	h := foreign.Hash()
	if err := post(t, eve, id, nil, nil, "under no law"); connect.CodeOf(err) != connect.CodeInvalidArgument {
		breach(t, "delivery takes a message without a capsule: %v", err)
	}
	if err := post(t, eve, id, foreign.Bytes(), h[:], "under my law"); err == nil || !strings.Contains(err.Error(), "charter") {
		breach(t, "delivery takes a capsule of another law: %v", err)
	}
	// With delivery's help the same reaches ann.
	g := eve.Group(id)
	var bodies [][]byte
	for i, ad := range [][]byte{nil, h[:]} {
		message, _, err := g.Protect(ad, capsule.Content(uint32(i), []byte("hidden")))
		w.Must(err)
		bodies = append(bodies, message)
	}
	ann.Tap(testenv.Reads(func(r *api.ReadResponse) {
		for _, body := range bodies {
			r.LastSeq++
			r.Messages = append(r.Messages, &api.Message{Conversation: id[:], Seq: r.LastSeq, Kind: api.Kind_KIND_APPLICATION, Epoch: 1, ReceivedMs: uint64(time.Now().UnixMilli()), Mid: mid(), Body: body})
		}
		bodies = nil
	}))
	ann.Sync(ctx)
	ann.Tap(nil)
	hides(t, ann, id, "hidden")
	told(t, ann, id, client.Held, "without the capsule")
	told(t, ann, id, client.Held, "wrong capsule")
	// She has a second device, hers by the directory, whose leaf names her own law.
	w.Person("mallory")
	tablet := directory.Identity{Account: "mallory", Device: "tablet"}
	key, list := ghost(t, w, tablet, another.Hash())
	enlist(t, w.Directory, tablet, key)
	ann.Tap(list)
	err := ann.Invite(ctx, id, "mallory")
	if members := must(ann.Members(id)); slices.Contains(members, tablet) {
		breach(t, "ann lets in a leaf under a law that is not on the ledger: %v", err)
	}
	told(t, ann, id, client.Fault, "mallory/tablet is under")
}

// TM-44: all members agree to let a wrong capsule stand. At the opening it is proven,
// or its messages open to nobody, and the report says so.
func TestAllMembersLie(t *testing.T) {
	t.Parallel()
	w := small(t)
	eve := w.Person("eve")
	ann := w.Person("ann")
	id := w.Talk(eve, ann)
	broken := forger.Capsule(own(t, w, eve, id, w.Charter, func([]byte) {}), func(_ *capsule.Label, body *[]byte, _ *[]capsule.Share) { (*body)[0] ^= 1 })
	h := capsule.HashOf(broken)
	w.Must(post(t, eve, id, broken, h[:], "hidden"))
	opened := w.Open(w.Authorise("eve"))
	if c := opened.Compartments[0]; c.Forged == nil || len(c.Ratchet) > 0 {
		breach(t, "a forged capsule is not proven: %v", c.Forged)
	}
	if r := must(bundle.Verify(built(testenv.Contents(opened), w.Policy), w.Policy)); r.Complete || !r.Compartments[0].Unopened {
		breach(t, "a forged capsule passes for evidence: %+v", r.Compartments[0])
	}

	mallory := w.Person("mallory")
	other := w.Talk(mallory, ann)
	wrong := own(t, w, mallory, other, w.Charter, func(r []byte) { r[0] ^= 1 })
	h = wrong.Hash()
	w.Must(post(t, mallory, other, wrong.Bytes(), h[:], "hidden"))
	report := must(bundle.Verify(built(testenv.Contents(w.Open(w.Authorise("mallory"))), w.Policy), w.Policy))
	m := report.Compartments[0].Messages[0]
	if report.Complete || m.Aside == "" || m.Text != nil {
		breach(t, "a capsule of another secret passes for evidence: %+v", m)
	}
}

// TM-51: a member who came late asks for what was said before, one who left for what
// is said after; then delivery gives them every ciphertext.
func TestBeforeAndAfterMembership(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben, eve := w.Person("ann"), w.Person("ben"), w.Person("eve")
	id := w.Talk(ann, ben)
	ann.Say(id, "before eve came")
	w.Must(ann.Invite(ctx, id, "eve"))
	w.Sync(ann, ben, eve)
	ann.Say(id, "while eve was there")
	w.Sync(ben, eve)
	mine := eve.Group(id)
	w.Must(ann.Remove(ctx, id, "eve"))
	ann.Say(id, "after eve left")
	w.Sync(ben)
	allowed := must(eve.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages
	all := must(ben.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages
	for _, m := range allowed {
		if m.Kind == api.Kind_KIND_APPLICATION && m.Epoch != 2 {
			breach(t, "delivery gives eve a message of epoch %d", m.Epoch)
		}
	}
	opened := 0
	for _, m := range all {
		if m.Kind == api.Kind_KIND_COMMIT {
			if staged, err := mine.Stage(m.Body); err == nil && !staged.SelfRemoved {
				mine.Apply(staged)
			}
		} else if got, _, err := mine.Unprotect(m.Body); err == nil {
			breach(t, "eve reads %q", got.Data)
		}
		opened++
	}
	if opened < 5 {
		t.Errorf("only %d messages", opened)
	}
	w.Sync(eve)
	if got := eve.Shown(id); !slices.Equal(got, []string{"while eve was there"}) {
		breach(t, "eve is shown %q", got)
	}
}

// TM-54: a member, the agency and delivery move a compartment into the warrant: the
// member seals the true secrets under a time within its window. Custodians can't
// tell, delivery signs the time, and the bundle shows nothing that was said.
func TestFalseLabelShowsNothing(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, eve := w.Person("ann"), w.Person("eve")
	id := w.Talk(ann, eve)
	forge := eve.Forger(id, 0, capsule.Hash{})
	ann.Say(id, "outside the window")
	true1 := parse(t, eve.Capsule(id, 1, 0))
	label := *true1.Label()
	label.Opened -= 1800
	label.Period = w.Charter.Period(label.OpenedAt())
	moved := must(must(capsule.NewSealer(must(w.Charter.Access(label.Period, nil)))).Seal(&label, forge.Ratchet, forge.SenderData))
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	c := w.Authorise("ann", func(x *warrant.Warrant) { x.WindowStart, x.WindowEnd = at(-time.Hour), at(-20*time.Minute) })
	config := w.Examiner()
	if _, err := examine.Open(ctx, config, c); !errors.Is(err, examine.ErrNothing) {
		t.Fatalf("the window covers it: %v", err)
	}
	config.Delivery = whole{config.Delivery, w, func() *api.Compartment {
		read := w.Authorise("ann")
		d := must(w.Examiner().Delivery.Disclose(ctx, discloseRequest(w, read))).Compartments[0]
		d.Capsules, d.Opened = [][]byte{moved.Bytes()}, label.Opened
		return d
	}}
	opening, err := examine.Open(ctx, config, c)
	w.Must(err)
	contents := testenv.Contents(opening.Parts[0])
	if len(contents.Compartments[0].Ratchet) == 0 {
		t.Fatal("custodians refused, which is more than we said")
	}
	state(w, &contents.Compartments[0])
	report := must(bundle.Verify(built(contents, w.Policy), w.Policy))
	for _, m := range report.Compartments[0].Messages {
		if m.Text != nil {
			breach(t, "the bundle shows %q", *m.Text)
		}
	}
	if len(report.Compartments[0].Messages) != 1 || report.Complete {
		t.Errorf("%+v", report.Compartments[0])
	}
}

// whole is a delivery service that discloses what it is told.
type whole struct {
	api.DeliveryClient
	w    *testenv.World
	what func() *api.Compartment
}

func (d whole) Disclose(context.Context, *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	return &api.DiscloseResponse{Compartments: []*api.Compartment{d.what()}}, nil
}

func discloseRequest(w *testenv.World, c *examine.Case) *api.DiscloseRequest {
	h := c.Warrant.Hash()
	lodged := must(w.Agency.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]}))
	entry, proof, err := w.Follower().Proof(ctx, lodged.Index)
	w.Must(err)
	return &api.DiscloseRequest{Warrant: c.Warrant.Encode(), WarrantSalt: c.Salt[:], WarrantEntry: entry, WarrantProof: proof}
}
