// Package testenv is a whole deployment in one process, for tests: the law at
// work of testlaw, with delivery, a docket, the agency, the custodians, and
// people with their devices. All of it is the real thing on loopback ports.
//
// A test that plays an attacker takes from it what that attacker has: delivery's
// database and signing key, a [Person]'s storage, the wire between a device and
// delivery ([Person.Between]), the notary's and the witnesses' keys.
package testenv

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/bundle"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/delivery"
	"writ/directory/directorytest"
	"writ/engine"
	"writ/examine"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// Offices is judicial 2 of 3 and oversight 1 of 2, with an approver each.
var Offices = []chartertest.Shape{
	{Office: "judicial", Need: 2, Custodians: 3, Approve: 1, Approvers: 1},
	{Office: "oversight", Need: 1, Custodians: 2, Approve: 1, Approvers: 1},
}

// Options change a deployment before it starts. All are optional.
type Options struct {
	Charter  func(*charter.Charter)
	Delivery func(*delivery.Config) // for an operator who does not keep to the rules
	Shapes   []chartertest.Shape    // [Offices] if there are none
}

// World is the deployment.
type World struct {
	*testlaw.World
	Store     string // delivery's database file
	URL       string // of delivery
	Lodged    string // the docket's directory
	Agency    *examine.Agency
	Laws      *ledger.Book // what people know of the ledger
	Directory *directorytest.Directory
	started   sync.Once
	asked     map[string]api.CustodianClient
}

// address is delivery's, as a deployment file names it.
const address = "https://delivery.test"

// New starts a deployment. Custodians start when they are first needed.
func New(t testing.TB, o Options) *World {
	t.Helper()
	if len(o.Shapes) == 0 {
		o.Shapes = Offices
	}
	w := &World{World: testlaw.New(t, o.Charter, o.Shapes...), Store: filepath.Join(t.TempDir(), "delivery.db"), Lodged: t.TempDir(),
		asked: map[string]api.CustodianClient{}, Directory: directorytest.New(time.Now)}
	w.Laws, _ = w.Book()
	config := delivery.Config{Store: engine.Config{Path: w.Store}, Laws: laws{w.Laws, w}, Address: address, StatementKey: delivery.StatementKey(w.Delivery)}
	if o.Delivery != nil {
		o.Delivery(&config)
	}
	service, err := delivery.Open(config)
	w.Must(err)
	server := httptest.NewServer(service.Handler())
	w.URL = server.URL
	t.Cleanup(func() { server.CloseClientConnections(); server.Close(); service.Close() })
	_, docket := w.StartDocket(w.Lodged)
	w.Agency = &examine.Agency{Name: testlaw.Agency, Key: examine.AgencyKey(w.AgencyKey), Docket: docket}
	return w
}

// laws is delivery's copy of the ledger. Versions and keys it has as people have
// them; whether a warrant may be acted on it looks up.
type laws struct {
	*ledger.Book
	w *World
}

// Actionable implements [delivery.Laws].
func (l laws) Actionable(_ context.Context, index uint64, h ledger.EntryHash) error {
	b, _ := l.w.Book()
	return b.Actionable(index, h, time.Now())
}

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Asked returns the running custodians, by "office/custodian".
func (w *World) Asked() map[string]api.CustodianClient {
	w.started.Do(func() {
		for _, c := range w.Custodians {
			_, w.asked[c.Who()] = w.StartCustodian(w.CustodianConfig(c))
		}
	})
	return w.asked
}

// Copy returns a copy of a custodian's key file in a directory of its own: the same
// custodian without memory.
func (w *World) Copy(c testlaw.Custodian) (dir string) {
	w.T.Helper()
	dir = w.T.TempDir()
	b, err := os.ReadFile(filepath.Join(c.Dir, "keys.age"))
	w.Must(err)
	w.Must(os.WriteFile(filepath.Join(dir, "keys.age"), b, 0o600))
	return dir
}

// Authorise takes a warrant on a subject, changed by change, through docket and
// ledger.
func (w *World) Authorise(subject string, change ...func(*warrant.Warrant)) *examine.Case {
	w.T.Helper()
	x, reader := w.Warrant(subject)
	for _, f := range change {
		f(x)
	}
	c, err := examine.NewCase(x, reader)
	w.Must(err)
	w.Must(w.Agency.Lodge(context.Background(), c, w.Charter))
	w.ReadAndApprove(w.Agency.Docket, x.Hash())
	_, err = w.Agency.Publish(context.Background(), x.Hash())
	w.Must(err)
	return c
}

// Examiner is how the agency opens.
func (w *World) Examiner() examine.Config {
	return examine.Config{Agency: w.Agency, Delivery: api.NewDeliveryClient(http.DefaultClient, w.URL), Directory: w.Directory,
		Custodians: w.Asked(), Ledger: w.Replica(), MaxAge: time.Minute}
}

// Open opens what a case names and fits in one request.
func (w *World) Open(c *examine.Case) *examine.Opened {
	w.T.Helper()
	opening, err := examine.Open(context.Background(), w.Examiner(), c)
	w.Must(err)
	if len(opening.Parts) != 1 {
		w.T.Fatalf("%d parts, outside %v", len(opening.Parts), opening.Outside)
	}
	return opening.Parts[0]
}

// Released opens, with the case's reader key, every share that custodians released.
func (w *World) Released(o *examine.Opened, c *examine.Case) (shares []unseal.Share) {
	w.T.Helper()
	for _, r := range o.Releases {
		release, err := unseal.ParseRelease(r.Release)
		w.Must(err)
		list, err := unseal.OpenRelease(release, c.Reader, w.Charter.Custodian(r.Office, r.Custodian).Key)
		w.Must(err)
		shares = append(shares, list...)
	}
	return shares
}

// Contents puts what was opened into the form of a bundle.
func Contents(o *examine.Opened) bundle.Contents {
	c := bundle.Contents{Charters: proven(o.Charters...), Keys: proven(o.Keys...), Warrant: o.Warrant,
		WarrantSalt: o.WarrantSalt, WarrantEntry: proven(o.WarrantEntry)[0], RequestEntry: proven(o.RequestEntry)[0], NoticeSalt: o.NoticeSalt}
	for _, r := range o.Releases {
		c.Releases = append(c.Releases, proven(r.Intent)...)
	}
	for _, x := range o.Compartments {
		b := bundle.Compartment{Capsule: x.Capsule, Ratchet: x.Ratchet, SenderData: x.SenderData, Shares: x.Shares, GroupContext: x.GroupContext,
			LeafProof: x.LeafProof, RosterProof: x.RosterProof, Count: x.Count, Statement: x.Statement}
		for _, m := range x.Messages {
			b.Messages = append(b.Messages, bundle.Message{Seq: m.Seq, Received: m.Received, Ciphertext: m.Ciphertext})
		}
		c.Compartments = append(c.Compartments, b)
	}
	for _, p := range o.Accounts {
		c.Accounts = append(c.Accounts, p.Encode())
	}
	return c
}

func proven(list ...examine.Proven) (out []bundle.Proven) {
	for _, p := range list {
		out = append(out, bundle.Proven{Entry: p.Entry, Proof: p.Proof})
	}
	return out
}
