package adversary

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/charter"
	"writ/client"
	"writ/delivery"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/examine"
	"writ/internal/forger"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/internal/wire"
	"writ/mls"
	"writ/unseal"
	"writ/warrant"
)

// TM-1, TM-71: delivery's operator, or who steals its disk, looks for words and
// keys in everything that came over the wire and lies in the database.
func TestDeliveryReadsNothing(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	var mu sync.Mutex
	var seen bytes.Buffer
	tap := func(_ string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		mu.Lock()
		seen.Write(must(proto.Marshal(req.(proto.Message))))
		mu.Unlock()
		return send()
	}
	ann.Tap(tap)
	ben.Tap(tap)
	id := w.Talk(ann, ben)
	ratchet, senderData, err := ben.Group(id).SenderSecrets(1, 0)
	w.Must(err)
	secrets := map[string][]byte{"the ratchet secret": ratchet, "the sender data secret": senderData,
		"ann's signing key": signingSeed(t, ann), "ben's signing key": signingSeed(t, ben)}
	for _, text := range []string{"the heron flies at noon", "and the owl at night"} {
		secrets[text] = []byte(text)
		ann.Say(id, text)
	}
	w.Sync(ben)
	if len(ben.Shown(id)) != 2 || seen.Len() == 0 {
		t.Fatal("nothing was said")
	}
	lacks(t, "the wire", seen.Bytes(), secrets)
	lacks(t, "the database", dump(t, w.Store), secrets)
}

// signingSeed takes the signing key out of a device's storage.
func signingSeed(t testing.TB, p *testenv.Person) []byte {
	t.Helper()
	for _, r := range must(p.Storage.Load("device")) {
		if r.Key == "self" {
			in := wire.NewReader(r.Value)
			in.Opaque(1 << 10)
			in.Array32()
			return in.Opaque(1 << 10)[:ed25519.SeedSize]
		}
	}
	t.Fatal("no key in the storage")
	return nil
}

// TM-2: delivery answers a receiver without the capsule, with another's, with a
// forged one, and takes no right one in its place. The message is held until it does.
func TestDeliveryTampersWithCapsules(t *testing.T) {
	t.Parallel()
	w := small(t)
	for name, change := range map[string]func(right, other []byte) [][]byte{
		"drops": func(_, _ []byte) [][]byte { return nil },
		"swaps": func(_, other []byte) [][]byte { return [][]byte{other} },
		"forges": func(right, _ []byte) [][]byte {
			forged := bytes.Clone(right)
			forged[len(forged)-1] ^= 1
			return [][]byte{forged}
		},
		"cuts": func(right, _ []byte) [][]byte { return [][]byte{right[:len(right)-1]} },
	} {
		ann, ben := w.Person("ann-"+name), w.Person("ben-"+name)
		id, elsewhere := w.Talk(ann, ben), w.Talk(ann, ben)
		ann.Say(elsewhere, "in another place")
		ann.Say(id, "sealed")
		other := ann.Capsule(elsewhere, 1, 0)
		refuses, put := true, 0
		ben.Tap(func(procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
			if procedure == "PutCapsule" {
				put++
				if refuses {
					return nil, connect.NewError(connect.CodePermissionDenied, errors.New("no"))
				}
			}
			res, err := send()
			if err == nil && procedure == "GetCapsules" {
				if got := res.Any().(*api.GetCapsulesResponse); len(got.Capsules) == 1 && !bytes.Equal(got.Capsules[0], other) {
					got.Capsules = change(got.Capsules[0], other)
				}
			}
			return res, err
		})
		ben.Sync(ctx)
		hides(t, ben, id, "sealed")
		told(t, ben, id, client.Held, "capsule is not at delivery")
		refuses, put = false, 0
		w.Sync(ben)
		if put == 0 || !slices.Contains(ben.Shown(id), "sealed") {
			breach(t, "delivery %s: %d deposits, shown %q", name, put, ben.Shown(id))
		}
	}
}

// TM-2: at an opening delivery withholds the capsule. The agency is told that there
// was one to be had.
func TestDeliveryWithholdsACapsuleFromTheAgency(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "sealed")
	config := w.Examiner()
	config.Custodians = nil
	config.Delivery = disclosing{config.Delivery, func(c *api.Compartment) { c.Capsules = nil }}
	_, err := examine.Open(ctx, config, w.Authorise("ann"))
	if err == nil || errors.Is(err, examine.ErrNothing) || !strings.Contains(err.Error(), "no capsule") {
		breach(t, "the agency is told: %v", err)
	}
}

// disclosing is a delivery service that changes what it discloses.
type disclosing struct {
	api.DeliveryClient
	change func(*api.Compartment)
}

func (d disclosing) Disclose(c context.Context, q *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	out, err := d.DeliveryClient.Disclose(c, q)
	if err == nil {
		for _, x := range out.Compartments {
			d.change(x)
		}
	}
	return out, err
}

// TM-3: delivery and the agency want a compartment that the warrant does not name.
// They put the label of one that it names on the other's capsule.
func TestDeliveryRelabelsACapsule(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id, elsewhere := w.Talk(ann, ben), w.Talk(ann, ben)
	ann.Say(id, "asked for")
	ben.Say(id, "not asked for")
	ann.Say(elsewhere, "not asked for")
	w.Sync(ann, ben)
	named, other, bens := parse(t, ann.Capsule(id, 1, 0)), parse(t, ann.Capsule(elsewhere, 1, 0)), parse(t, ann.Capsule(id, 1, 1))
	c := w.Authorise("ann", func(x *warrant.Warrant) { x.Conversations = [][]byte{id[:]} })
	refused(t, w, "another conversation", w.Package(c, other.Bytes()), unseal.ReasonScopeList)
	refused(t, w, "another sender", w.Package(c, bens.Bytes()), unseal.ReasonScopeSubject)
	for what, b := range map[string][]byte{
		"another conversation's, relabelled": forger.Relabel(other, func(l *capsule.Label) { *l = *named.Label() }),
		"another sender's, relabelled":       forger.Relabel(bens, func(l *capsule.Label) { *l = *named.Label() }),
		"another epoch":                      forger.Relabel(named, func(l *capsule.Label) { l.Epoch++ }),
		"another time":                       forger.Relabel(named, func(l *capsule.Label) { l.Opened-- }),
		"another device":                     forger.Relabel(named, func(l *capsule.Label) { l.Device = "tablet" }),
		"another roster":                     forger.Relabel(named, func(l *capsule.Label) { l.Roster[0] ^= 1 }),
		"another suite":                      forger.Relabel(named, func(l *capsule.Label) { l.Suite = 1 }),
		"another leaf":                       forger.Relabel(named, func(l *capsule.Label) { l.Leaf++ }),
	} {
		refused(t, w, what, w.Package(c, b), unseal.ReasonShare)
	}
	law := charter.Hash{1}
	refused(t, w, "another law", w.Package(c, forger.Relabel(named, func(l *capsule.Label) { l.Charter = law })), unseal.ReasonScopeCharter)
	if out, err := w.Ask(w.Custodians[0], w.Package(c, named.Bytes())); err != nil || out.GetGranted() == nil {
		t.Errorf("the one that is named: %v, %v", out, err)
	}
}

// ghost is a device that delivery lists for an account and holds the key of.
func ghost(t testing.TB, w *testenv.World, id directory.Identity, law charter.Hash) (mls.SignaturePublicKey, testenv.Between) {
	t.Helper()
	key := must(mls.GenerateSignatureKey(client.Suite))
	now := uint64(time.Now().Unix())
	kp, _, err := mls.Client{Credential: mls.Credential{Identity: id.Encode()}, Key: key, Lifetime: mls.Lifetime{NotBefore: now - 60, NotAfter: now + 86400},
		Extensions: []mls.Extension{{Type: charter.LeafExtensionType, Data: law[:]}}}.NewKeyPackage(nil)
	w.Must(err)
	db, err := sql.Open("sqlite", w.Store) // its operator's hand in its own database
	w.Must(err)
	defer db.Close()
	_, err = db.Exec("INSERT INTO devices (account, device, key) VALUES (?, ?, ?)", id.Account, id.Device, []byte(key.Public()))
	w.Must(err)
	return key.Public(), func(procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if err == nil && procedure == "TakeKeyPackages" && req.(*api.TakeKeyPackagesRequest).Account == id.Account {
			out := res.Any().(*api.TakeKeyPackagesResponse)
			out.KeyPackages = append(out.KeyPackages, &api.DeviceKeyPackage{Device: id.Device, KeyPackage: kp.Bytes()})
		}
		return res, err
	}
}

// enlist states a device in the directory, by who holds the account's recovery key.
func enlist(t testing.TB, d *directorytest.Directory, id directory.Identity, key mls.SignaturePublicKey) {
	t.Helper()
	s := d.Chain(id.Account).Draft()
	s.Add(id.Device, directory.DeviceKey(key), uint64(time.Now().Unix()))
	s.SignRecovery(directorytest.Recovery(id.Account))
	if _, err := d.PutStatement(ctx, &api.PutStatementRequest{Statement: s.Encode()}); err != nil {
		t.Fatal(err)
	}
}

// TM-4: delivery has stolen ben's recovery code, so that the directory proves its ghost
// device. The ghost gets in; everybody sees it, and ben's phone raises an alarm.
func TestGhostDeviceIsSeen(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben, eve := w.Person("ann"), w.Person("ben"), w.Person("eve")
	id, who := w.Talk(ann, eve), directory.Identity{Account: "ben", Device: "tablet"}
	key, list := ghost(t, w, who, w.Charter.Hash())
	enlist(t, w.Directory, who, key)
	ann.Tap(list)
	w.Must(ann.Invite(ctx, id, "ben"))
	w.Sync(ann, eve, ben)
	for _, p := range []*testenv.Person{ann, eve, ben} {
		if members, err := p.Members(id); err != nil || !slices.Contains(members, who) {
			breach(t, "%s sees only %v, %v", p.Account, members, err)
		}
	}
	for _, p := range []*testenv.Person{ann, eve} {
		events, err := p.History(id)
		w.Must(err)
		if !slices.ContainsFunc(events, func(e client.Event) bool { return e.Kind == client.Joined && e.Member == who }) {
			breach(t, "%s is not told that %v came in", p.Account, who)
		}
	}
	if !slices.ContainsFunc(ben.Alarms(), func(a client.Alarm) bool { return strings.Contains(a.Text, `"tablet"`) && !a.Answered }) {
		breach(t, "ben's phone raises no alarm: %v", ben.Alarms())
	}
}

// TM-5: delivery lists a ghost device that the directory does not prove. It gets in
// neither by an invitation, nor by the commit of a member who helps, and all are told.
func TestGhostDeviceIsRefused(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben, eve := w.Person("ann"), w.Person("ben"), w.Person("eve")
	id, who := w.Talk(ann, eve), directory.Identity{Account: "ben", Device: "tablet"}
	key, list := ghost(t, w, who, w.Charter.Hash())
	ann.Tap(list)
	w.Must(ann.Invite(ctx, id, "ben"))
	w.Sync(eve, ben)
	before := must(ann.Members(id))
	if slices.Contains(before, who) {
		breach(t, "ann lets in %v", who)
	}
	told(t, ann, id, client.Fault, `ben has no device "tablet"`)

	eve.Config.Directory = w.Directory.Fork() // she believes what she likes
	enlist(t, eve.Config.Directory.(*directorytest.Directory), who, key)
	eve.Device = must(client.Open(eve.Config))
	eve.Tap(list)
	w.Must(eve.Invite(ctx, id, "ben"))
	if !slices.Contains(must(eve.Members(id)), who) {
		t.Fatal("eve did not let the ghost in")
	}
	for _, p := range []*testenv.Person{ann, ben} {
		if _, err := p.Sync(ctx); err == nil {
			breach(t, "%s follows a commit that adds %v", p.Account, who)
		}
		told(t, p, id, client.Fault, "can't follow, by eve")
		if after := must(p.Members(id)); !slices.Equal(before, after) {
			breach(t, "for %s %v became %v", p.Account, before, after)
		}
	}
}

// TM-6: delivery has a member who helps: they know all secrets of the conversation
// but ann's signing key, and show ben messages in her name.
func TestDeliveryForgesMessages(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, eve := w.Person("ann"), w.Person("eve")
	_, own := must2(ed25519.GenerateKey(nil))
	const words = "my own words"
	confession, said := string(capsule.Content(1, []byte("I confess"))), string(capsule.Content(0, []byte(words)))
	for what, forged := range map[string]func(f *forger.Forger, genuine, signature []byte) []byte{
		"unsigned":      func(f *forger.Forger, _, _ []byte) []byte { return f.Encrypt(1, confession, nil) },
		"signed by eve": func(f *forger.Forger, _, _ []byte) []byte { return f.Encrypt(1, confession, f.Sign(own, confession)) },
		"signed by delivery": func(f *forger.Forger, _, _ []byte) []byte {
			return f.Encrypt(1, confession, f.Sign(w.Delivery, confession))
		},
		"under another signature": func(f *forger.Forger, _, signature []byte) []byte { return f.Encrypt(1, confession, signature) },
		"hers, said once more":    func(f *forger.Forger, _, signature []byte) []byte { return f.Encrypt(1, said, signature) },
		"the same message again":  func(_ *forger.Forger, genuine, _ []byte) []byte { return genuine },
		"with a bit of it changed": func(_ *forger.Forger, genuine, _ []byte) []byte {
			return append(bytes.Clone(genuine[:len(genuine)-1]), genuine[len(genuine)-1]^1)
		},
	} {
		ben := w.Person("ben-" + strings.Map(letters, what))
		id := w.Talk(ann, ben, eve)
		forge := eve.Forger(id, 0, capsule.Hash{})
		ann.Say(id, words)
		hash := capsule.HashOf(eve.Capsule(id, forge.Epoch, 0))
		forge.AuthenticatedData = hash[:]
		page := must(eve.API().Read(ctx, &api.ReadRequest{Conversation: id[:]})).Messages
		last := page[len(page)-1]
		body := forged(forge, last.Body, must(forge.SignatureOf(0, last.Body)))
		ben.Tap(testenv.Reads(func(r *api.ReadResponse) {
			if n := len(r.Messages); n == 0 || !bytes.Equal(r.Messages[n-1].Body, last.Body) {
				return
			}
			r.LastSeq++
			more := proto.Clone(last).(*api.Message)
			more.Seq, more.Body, more.Mid = r.LastSeq, body, mid()
			r.Messages = append(r.Messages, more)
		}))
		w.Sync(ben)
		if got := ben.Shown(id); !slices.Equal(got, []string{words}) {
			breach(t, "%s: ben is shown %q", what, got)
		}
		if got := ben.Told(id, client.Fault); len(got) != 1 {
			breach(t, "%s: ben is told %q", what, got)
		}
	}
}

// letters leaves what an account's name may have.
func letters(r rune) rune {
	if r < 'a' || r > 'z' {
		return '-'
	}
	return r
}

// TM-7: delivery leaves out a message and numbers the others anew, or withholds the
// last.
func TestDeliveryDropsMessages(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "one", "two", "three")
	ben.Tap(testenv.Reads(func(r *api.ReadResponse) {
		if len(r.Messages) == 3 {
			r.Messages[2].Seq, r.LastSeq = r.Messages[1].Seq, r.LastSeq-1
			r.Messages = append(r.Messages[:1], r.Messages[2])
		}
	}))
	w.Sync(ben)
	told(t, ben, id, client.Fault, "1 of the sender's messages before this one are missing")
	ben.Tap(nil)

	eve := w.Person("eve")
	other := w.Talk(ann, eve)
	ann.Say(other, "one", "two")
	eve.Tap(testenv.Reads(func(r *api.ReadResponse) { r.Messages = r.Messages[:0] }))
	if _, err := eve.Sync(ctx); !errors.Is(err, client.ErrDelivery) {
		breach(t, "it withholds the end and says so: %v", err)
	}
	told(t, eve, other, client.Fault, "withholds messages")
}

// TM-7: after delivery signed what a compartment holds, it or the agency takes
// messages out of the evidence: from the end, the beginning, the middle.
func TestEvidenceIsCut(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "one", "two", "three")
	whole := testenv.Contents(w.Open(w.Authorise("ann")))
	if _, _, err := bundle.Build(whole, w.Policy); err != nil {
		t.Fatal(err)
	}
	for what, keep := range map[string][]int{"the end": {0, 1}, "the beginning": {1, 2}, "the middle": {0, 2}, "all": {}} {
		for _, counted := range []bool{true, false} {
			part := whole.Compartments[0]
			part.Messages = nil
			for _, i := range keep {
				part.Messages = append(part.Messages, whole.Compartments[0].Messages[i])
			}
			if counted {
				part.Count = uint32(len(keep))
			}
			cut := whole
			cut.Compartments = []bundle.Compartment{part}
			if _, _, err := bundle.Build(cut, w.Policy); err == nil || !strings.Contains(err.Error(), "delivery") {
				breach(t, "without %s, count changed %v: %v", what, counted, err)
			}
		}
	}
}

// TM-8: a member who helps delivery opens an epoch that claims a time before the
// others last read or after now; delivery alone changes the time in a true commit.
func TestEpochOfAnotherTime(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Delivery: func(c *delivery.Config) { c.Tolerance = 1000 * time.Hour }})
	for what, off := range map[string]time.Duration{"before": -3 * time.Hour, "after": 3 * time.Hour} {
		ann, eve := w.Person("ann-"+what), w.Person("eve-"+what)
		id := w.Talk(ann, eve)
		opened := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(off).Unix()))
		commit(t, eve, id, opened)
		if _, err := ann.Sync(ctx); !errors.Is(err, client.ErrClock) {
			breach(t, "an epoch of 3 hours %s: %v", what, err)
		}
		told(t, ann, id, client.Fault, "clock")
	}
	ann, eve := w.Person("ann"), w.Person("eve")
	id := w.Talk(ann, eve)
	opened := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
	commit(t, eve, id, opened)
	ann.Tap(testenv.Reads(func(r *api.ReadResponse) {
		for _, m := range r.Messages {
			at := bytes.Index(m.Body, opened)
			m.Body = bytes.Clone(m.Body)
			m.Body[at+7] ^= 1
		}
	}))
	if _, err := ann.Sync(ctx); err == nil {
		breach(t, "ann follows a commit whose time delivery changed")
	}
	told(t, ann, id, client.Fault, "can't follow")
}

// commit ends an epoch past the person's own client, with any authenticated data.
func commit(t testing.TB, p *testenv.Person, id client.ConversationID, ad []byte) {
	t.Helper()
	made, err := p.Group(id).Commit(mls.CommitOptions{AuthenticatedData: ad, ByReference: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.API().Commit(ctx, &api.CommitRequest{Conversation: id[:], Mid: mid(), Message: made.Message}); err != nil {
		t.Fatal(err)
	}
}

// mid is a new message id.
func mid() []byte {
	b := make([]byte, 16)
	rand.Read(b)
	return b
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}
