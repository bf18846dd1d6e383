package client

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/charter"
	"writ/charter/chartertest"
	"writ/delivery"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/engine"
	"writ/ledger"
)

// A world is the real delivery service on a real database behind real HTTP, a
// ledger's book with two laws, and a clock that the test turns.
type world struct {
	testing.TB
	service   *delivery.Service
	url       string
	book      *ledger.Book
	directory *directorytest.Directory
	laws      delivery.Fixed
	access    charter.Hash // a law with exceptional access
	open      charter.Hash // a law without
	law       *chartertest.World

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, book: ledger.NewBook(), now: chartertest.Now}
	w.directory = directorytest.New(w.Now)
	cw := chartertest.New("client")
	cw.Charter.Policy = policy()
	none := &charter.Charter{Name: "Free Land", Jurisdiction: "Freeland", LegalBasis: "Constitution, article 1", Language: "en", Number: 1, Policy: policy(),
		Directory: chartertest.Directory()}
	w.law, w.access = cw, w.enact(cw.Sign(cw.Charter))
	w.open = w.enact(&charter.Signed{Charter: none.Encode()})
	w.laws = delivery.Fixed{}
	for _, h := range []charter.Hash{w.access, w.open} {
		c, _ := w.book.Charter(h)
		w.laws[h] = c
	}
	var err error
	w.service, err = delivery.Open(delivery.Config{Store: engine.Config{Path: filepath.Join(fastDir(t), "db")}, Laws: dated{w.laws, w}, Now: w.Now, Address: address})
	w.check(err)
	server := httptest.NewServer(w.service.Handler())
	w.url = server.URL
	t.Cleanup(func() {
		w.service.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return w
}

// fastDir is a folder in memory, where there is one: it is the device's storage
// that these tests let fail, not delivery's.
func fastDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "writ-client-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// dated are the laws with what the book says of their time.
type dated struct {
	delivery.Fixed
	w *world
}

func (d dated) InForce(name string, at time.Time) (*charter.Charter, bool) {
	return d.w.book.InForce(name, at)
}

func (w *world) enact(s *charter.Signed) charter.Hash {
	w.Helper()
	w.check(w.book.Apply(w.book.Size(), ledger.CharterEntry(s), w.Now()))
	if f := w.book.Findings(); len(f) > 0 {
		w.Fatal(f)
	}
	return s.Hash()
}

// policy is a witness policy that parses; nothing here reads a checkpoint.
func policy() string {
	key := func(name string, kind byte) string {
		seed := sha256.Sum256([]byte(name))
		raw := append([]byte{kind}, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)...)
		id := sha256.Sum256(append([]byte(name+"\n"), raw...))
		return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(raw))
	}
	return "log " + key("log.example", 1) + "\nwitness a " + key("a.example", 4) + "\nquorum a\n"
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// address is delivery's, as both sides have it.
const address = "https://delivery.example"

// config is the Config of a test device. Interceptors stand between it and delivery.
func (w *world) config(s Storage, between ...connect.Interceptor) Config {
	return Config{Storage: s, Delivery: api.NewDeliveryClient(http.DefaultClient, w.url, connect.WithInterceptors(between...)),
		Address: address, Laws: w.book, Directory: w.directory, Now: w.Now, KeyPackages: 2}
}

var phone = func(account string) directory.Identity { return directory.Identity{Account: account, Device: "phone"} }

// device returns a registered device with storage in memory.
func (w *world) device(account string, law charter.Hash, between ...connect.Interceptor) *Device {
	w.Helper()
	d, err := Open(w.config(NewMemory(), between...))
	w.check(err)
	w.register(d, phone(account), law)
	return d
}

func (w *world) register(d *Device, id directory.Identity, law charter.Hash) {
	w.Helper()
	w.check(d.Register(context.Background(), id, law, directorytest.Recovery(id.Account).Public()))
	w.check(errors.Join(d.Acknowledge(w.access), d.Acknowledge(w.open)))
}

// talk returns devices of as many accounts in one conversation.
func (w *world) talk(devices ...*Device) ConversationID {
	w.Helper()
	var accounts []string
	for _, d := range devices[1:] {
		accounts = append(accounts, d.Identity().Account)
	}
	id, err := devices[0].Create(context.Background(), accounts...)
	w.check(err)
	w.sync(devices...)
	return id
}

// sync syncs devices in turn and returns what each told.
func (w *world) sync(devices ...*Device) (told [][]Event) {
	w.Helper()
	for _, d := range devices {
		events, err := d.Sync(context.Background())
		w.check(err)
		told = append(told, events)
	}
	return told
}

func (w *world) send(d *Device, id ConversationID, text string) {
	w.Helper()
	w.check(d.Send(context.Background(), id, text))
}

// history returns a device's events of some kinds as "kind sender: text".
func (w *world) history(d *Device, id ConversationID, kinds ...EventKind) []string {
	w.Helper()
	events, err := d.History(id)
	w.check(err)
	return lines(events, kinds...)
}

func lines(events []Event, kinds ...EventKind) []string {
	var out []string
	for _, e := range events {
		if slices.Contains(kinds, e.Kind) {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%v %s: %s%s", e.Kind, e.Sender.Account, e.Text, e.Reason)))
		}
	}
	return out
}

func (w *world) want(got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// between is a connect.Interceptor of unary calls: what a network, or a hostile
// delivery service, makes of them.
type between func(ctx context.Context, procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error)

func (b between) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		return b(ctx, strings.TrimPrefix(req.Spec().Procedure, "/writ.v1.Delivery/"), req.Any(), func() (connect.AnyResponse, error) { return next(ctx, req) })
	}
}

func (b between) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (b between) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// reads changes what delivery answers to Read.
func reads(change func(*api.ReadResponse)) connect.Interceptor {
	return between(func(_ context.Context, procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if err == nil && procedure == "Read" {
			change(res.Any().(*api.ReadResponse))
		}
		return res, err
	})
}
