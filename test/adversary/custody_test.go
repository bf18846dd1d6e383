package adversary

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/client"
	"writ/custodian"
	"writ/delivery"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
)

// TM-31, TM-61: every set of custodians that does not satisfy the law, among them a
// whole office, gives its shares to a state that holds all else. It combines them,
// and tries whatever else it has for the shares it lacks.
func TestCustodiansBelowTheThreshold(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{})
	s := speak(t, w, true)
	opened := w.Open(s.c)
	shares := w.Released(opened, s.c)
	label := parse(t, s.capsule).Label()
	access := must(w.Charter.Access(label.Period, nil))
	combiner := must(unseal.NewCombiner(access))
	tried := 0
	for set := range 1 << len(shares) {
		var have []unseal.Share
		names := map[string]bool{}
		for i, x := range shares {
			if set>>i&1 == 1 {
				have = append(have, x)
				names[x.Custodian] = true
			}
		}
		if access.Satisfied(names) {
			continue
		}
		tried++
		if _, _, _, err := combiner.Combine(s.capsule, have); !errors.Is(err, unseal.ErrTooFew) {
			breach(t, "%v open it: %v", names, err)
		}
		if forced(s.capsule, access, have) {
			breach(t, "%v open it by force", names)
		}
	}
	if len(shares) != 5 || tried != 32-12 { // 12: two or three of judicial with one or two of oversight
		t.Errorf("%d shares, %d sets", len(shares), tried)
	}
}

// forced tries to open a capsule's body with every root that the shares suggest:
// each share, and each combination of them at any places.
func forced(sealed []byte, access *charter.Access, have []unseal.Share) bool {
	c := must(capsule.Parse(sealed))
	ctx := capsule.Context(c.Label(), access)
	var roots [][]byte
	for i := range have {
		roots = append(roots, have[i].Secret[:])
		for j := range i {
			for x := uint8(1); x < 4; x++ {
				for y := uint8(1); y < 4; y++ {
					if r, err := capsule.CombineShares([]uint8{x, y}, [][]byte{have[i].Secret[:], have[j].Secret[:]}); err == nil {
						roots = append(roots, r)
					}
				}
			}
		}
	}
	known := append([][]byte{make([]byte, 32)}, roots...)
	for _, root := range known { // and as one of two gates, the other guessed
		for _, other := range known {
			roots = append(roots, must(capsule.CombineShares([]uint8{1, 2}, [][]byte{root, other})))
		}
	}
	for _, root := range roots {
		aead := must(chacha20poly1305.New(must(capsule.BodyKey(root))))
		if _, err := aead.Open(nil, make([]byte, 12), c.Body(), ctx[:]); err == nil {
			return true
		}
	}
	return false
}

// TM-32: one custodian states no key for the next period, so that devices seal to the
// others alone. They don't; they say why, and go on when it has stated one.
func TestCustodianStatesNoKey(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Delivery: func(c *delivery.Config) { c.Now = now }})
	turned := func(c *client.Config) { c.Now = now }
	ann, ben := w.Person("ann", turned), w.Person("ben", turned)
	id := w.Talk(ann, ben)
	ann.Say(id, "while all have keys")
	for _, c := range w.Custodians[:2] {
		w.StartCustodian(w.CustodianConfig(c))
	}
	next := w.Charter.Period(time.Now()) + 1
	waitFor(t, w, func(b *ledger.Book) bool { return len(b.Keys(w.Charter.Name, next)) == 2 })
	*w.Laws = *must2nd(w.Book())
	ahead.Store(int64(w.Charter.Limits.KeyPeriod) * int64(time.Second))
	w.Directory.Stamp(now())
	if err := ann.Send(ctx, id, "sealed to fewer"); !errors.Is(err, client.ErrUnknownLaw) {
		breach(t, "ann sends: %v", err)
	}
	ben.Sync(ctx)
	hides(t, ben, id, "sealed to fewer")
	w.StartCustodian(w.CustodianConfig(w.Custodians[2]))
	waitFor(t, w, func(b *ledger.Book) bool { return len(b.Keys(w.Charter.Name, next)) == 3 })
	*w.Laws = *must2nd(w.Book())
	w.Sync(ann, ben)
	if got := ben.Shown(id); !slices.Contains(got, "sealed to fewer") {
		t.Errorf("with all keys stated ben is shown %q", got)
	}
}

func must2nd(b *ledger.Book, _ []*ledger.Entry) *ledger.Book { return b }

func waitFor(t testing.TB, w *testenv.World, done func(*ledger.Book) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if b, _ := w.Book(); done(b) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it never stands on the log")
		}
	}
}

// TM-33: who writes the law lets one office suffice, in every place of the structure
// where that can be hidden, and signs it well.
func TestLawOfOneOffice(t *testing.T) {
	t.Parallel()
	w := testenv.New(t, testenv.Options{})
	gate := func(n uint8, children ...*charter.Node) *charter.Node {
		return &charter.Node{Threshold: n, Children: children}
	}
	judges, overseers := w.Charter.Structure.Children[0], w.Charter.Structure.Children[1]
	for what, structure := range map[string]*charter.Node{
		"either office":              gate(1, judges, overseers),
		"one office":                 gate(1, judges),
		"an office at its own gate":  gate(2, judges, gate(1, overseers, judges.Children[0])),
		"one custodian":              judges.Children[0],
		"a gate within":              gate(1, gate(2, judges.Children[0], overseers), gate(2, judges.Children[1], judges.Children[2])),
		"a threshold of nothing":     gate(0, judges, overseers),
		"one office named as two":    gate(2, gate(1, judges.Children[0]), gate(1, judges.Children[1])),
		"one custodian in two gates": gate(2, gate(1, judges.Children[0]), gate(1, judges.Children[0], overseers)),
	} {
		bad := *w.Charter
		bad.Structure = structure
		if err := bad.Validate(); err == nil {
			breach(t, "%s: the law is valid", what)
		}
		signed := w.Sign(&bad)
		book := ledger.NewBook(bad.Hash())
		w.Must(book.Apply(0, ledger.CharterEntry(signed), time.Now()))
		if _, ok := book.Charter(bad.Hash()); ok {
			breach(t, "%s: the law counts on the log", what)
		}
		if len(book.Findings()) == 0 {
			breach(t, "%s: nobody is told", what)
		}
	}
	for what, change := range map[string]func(*charter.Charter){
		"one office approves":      func(c *charter.Charter) { c.Approval = c.Approval[:1] },
		"one office amends":        func(c *charter.Charter) { c.Amendment = c.Amendment[:1] },
		"one office, named twice":  func(c *charter.Charter) { c.Approval = charter.Rules{c.Approval[0], c.Approval[0]} },
		"nobody's approval needed": func(c *charter.Charter) { c.Approval = charter.Rules{c.Approval[0], {Office: c.Approval[1].Office}} },
	} {
		bad := *w.Charter
		bad.Approval, bad.Amendment = slices.Clone(bad.Approval), slices.Clone(bad.Amendment)
		change(&bad)
		if err := bad.Validate(); err == nil {
			breach(t, "%s: the law is valid", what)
		}
	}
}

// TM-62: after one honest custodian of a needed office destroyed a period's key, the
// state seizes every machine and every passphrase, and orders it to serve again.
func TestSeizedAfterDestruction(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := testenv.New(t, testenv.Options{Shapes: testlaw.Small, Charter: func(c *charter.Charter) { c.Limits.KeyPeriod = 3600 }})
	s := speak(t, w, true)
	c := w.Custodians[2] // all there is of oversight
	period := parse(t, s.capsule).Label().Period
	public := c.Public.Statements[0].PublicKey
	if !holdsKey(t, c.Dir, public) {
		t.Fatal("the key is not found while it is there")
	}
	config := w.CustodianConfig(c)
	config.Now, config.MaxAge = now, 24*time.Hour
	server, _ := w.StartCustodian(config)
	desk := serve(t, server.DeskHandler())
	waitFor(t, w, func(b *ledger.Book) bool { _, ok := b.Key(c.Charter, c.Office, c.Custodian, period+1); return ok })
	ahead.Store(int64(2 * time.Hour))
	if _, err := desk.Destroy(ctx, &api.DestroyRequest{Period: period}); err != nil {
		t.Fatal(err)
	}
	if holdsKey(t, c.Dir, public) {
		breach(t, "the key file still holds the key of period %d", period)
	}
	again := w.CustodianConfig(c)
	again.Dir = w.Copy(c)
	_, seized := w.StartCustodian(again)
	p := w.Package(s.c, s.capsule)
	out, err := examine.Ask(ctx, seized, w.Charter, c.Office, c.Custodian, p)
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, "a custodian that was set up again", c, out, unseal.ReasonHorizon, unseal.ReasonKey)
}

// serve runs a handler and returns its desk.
func serve(t *testing.T, h http.Handler) api.CustodianDeskClient {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return api.NewCustodianDeskClient(http.DefaultClient, srv.URL)
}

// holdsKey opens a key file with its passphrase and tries every 32 bytes of it as the
// private key of a public one.
func holdsKey(t testing.TB, dir string, public []byte) bool {
	t.Helper()
	plain := keyFile(t, dir)
	for i := range len(plain) - 31 {
		if k, err := hpke.MLKEM768X25519().NewPrivateKey(plain[i : i+32]); err == nil && bytes.Equal(k.PublicKey().Bytes(), public) {
			return true
		}
	}
	return false
}

// TM-74: who steals a custodian's disk, after it released, without the passphrase:
// looks for keys, for targets, for shares, and tries passphrases.
func TestStolenCustodian(t *testing.T) {
	t.Parallel()
	w := small(t)
	s := speak(t, w, true)
	opened := w.Open(s.c)
	c := w.Custodians[0]
	plain := keyFile(t, c.Dir)
	h, hash := s.c.Warrant.Hash(), capsule.HashOf(s.capsule)
	secrets := map[string][]byte{"the subject": []byte("\x03ann"), "the grounds": []byte(s.c.Warrant.Necessity), "the salt": s.c.Salt[:],
		"the conversation": s.id[:], "the capsule": s.capsule[:64], "its hash": hash[:], "the warrant's hash": h[:], "the ratchet secret": opened.Compartments[0].Ratchet}
	for i := len(c.Charter) + 40; i+32 <= len(plain); i += 16 { // behind the names come keys and nothing else
		secrets["a key"] = plain[i : i+32]
		lacks(t, "the disk", dump(t, c.Dir), secrets)
	}
	for _, guess := range []string{"", "correct horse battery", testlaw.Passphrase + " "} {
		if _, err := custodian.Open(ctx, custodian.Config{Dir: w.Copy(c), Passphrase: []byte(guess), Ledger: w.Ledger, Policy: w.Policy, MaxAge: time.Minute}); err == nil {
			breach(t, "it opens with %q", guess)
		}
	}
}

// TM-75: who steals the agency's machine has its reader key, all releases and every
// capsule of delivery's, and tries each share on each of them.
func TestStolenAgency(t *testing.T) {
	t.Parallel()
	w := small(t)
	ann, ben := w.Person("ann"), w.Person("ben")
	id := w.Talk(ann, ben)
	ann.Say(id, "released")
	ben.Say(id, "not released")
	w.Sync(ann, ben)
	c := w.Authorise("ann")
	opened := w.Open(c)
	access := must(w.Charter.Access(parse(t, opened.Compartments[0].Capsule).Label().Period, nil))
	combiner := must(unseal.NewCombiner(access))
	other := ann.Capsule(id, 1, 1)
	all := w.Released(opened, c)
	var renamed []unseal.Share
	for _, x := range all {
		if x.Capsule == capsule.HashOf(other) {
			breach(t, "a share of a compartment that the warrant does not name was released")
		}
		x.Capsule = capsule.HashOf(other)
		renamed = append(renamed, x)
	}
	if _, _, _, err := combiner.Combine(opened.Compartments[0].Capsule, all); err != nil {
		t.Fatal(err)
	}
	if ratchet, _, _, err := combiner.Combine(other, renamed); err == nil {
		breach(t, "the shares of one compartment open another: %x", ratchet)
	}
	if forced(other, access, all) {
		breach(t, "and by force")
	}
}
