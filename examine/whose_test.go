package examine_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"writ/api"
	"writ/charter"
	"writ/client"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/engine"
	"writ/examine"
	"writ/ledger"
	"writ/mls"
	"writ/registry"
	"writ/scribe"
	"writ/warrant"
	"writ/witness"
)

// realDirectory runs a registry with two witnesses and returns what a charter says of
// it.
func realDirectory(t testing.TB) (api.DirectoryClient, charter.Directory) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	signer, vkey, err := note.GenerateKey(rand.Reader, "directory.example/writ")
	must(err)
	text, urls := "log "+vkey+"\n", map[string]string{}
	for _, name := range []string{"a", "b"} {
		k, err := witness.GenerateKey(name+".example", rand.Reader)
		must(err)
		key, err := witness.ParseKey(k)
		must(err)
		s, err := witness.New(witness.Config{Dir: t.TempDir(), Key: key, Logs: []string{vkey}})
		must(err)
		srv := httptest.NewServer(s)
		t.Cleanup(func() { srv.Close(); s.Close() })
		text, urls[name] = text+fmt.Sprintf("witness %s %s\n", name, s.VKey()), srv.URL
	}
	policy, err := ledger.ParsePolicy(text + "group q all a b\nquorum q\n")
	must(err)
	labels := directory.GenerateLabelSigner()
	s, err := registry.Open(ctx, registry.Config{Labels: labels, Store: engine.Config{Path: filepath.Join(t.TempDir(), "statements.db")},
		Log: scribe.Config{Dir: filepath.Join(t.TempDir(), "log"), Signer: signer, Policy: policy, Witnesses: urls, Interval: 100 * time.Millisecond}})
	must(err)
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		must(s.Close(ctx))
	})
	return api.NewDirectoryClient(http.DefaultClient, srv.URL), charter.Directory{Policy: policy.String(), VRF: [32]byte(labels.Public().Bytes())}
}

// talk lets ann say one and ben two.
func (s *story) talk() {
	s.t.Helper()
	ann, ben, with := s.annAndBen()
	s.say(ann, with, "one")
	s.say(ben, with, "two")
}

func both(w *warrant.Warrant) { w.Direction = warrant.SentAndReceived }

// R27: the whole line on real services, the directory among them. What a device says
// is proven to be its person's, also after the person revoked it.
func TestR27WhoseKey(t *testing.T) {
	t.Parallel()
	real, law := realDirectory(t)
	s := newStory(t, func(c *charter.Charter) { c.Directory = law })
	s.directory = real
	s.talk()
	opened, err := openOne(s.config(), s.authorise("ann", both))
	s.must(err)
	r := s.checkBundle(opened, "one", "two", "proven to be that device's")
	if !r.KeysProven || len(opened.Accounts) != 2 || len(opened.Unproven) != 0 {
		t.Fatalf("unproven %q, %v", r.Unproven, opened.Unproven)
	}
	further := s.revoke("ann")
	s.must(further.AddDevice(ctx, "tablet", directory.DeviceKey(newKey(t)))) // no date of it is needed
	opened, err = openOne(s.config(), s.authorise("ann", both))
	s.must(err)
	if k := s.checkBundle(opened).Compartments; !k[0].Key.Proven || !k[0].Key.Revoked || k[0].Key.RevokedBy == "" || k[1].Key.Revoked {
		t.Errorf("after it was revoked: %+v, %+v", k[0].Key, k[1].Key)
	}
}

func newKey(t testing.TB) mls.SignaturePublicKey {
	t.Helper()
	k, err := mls.GenerateSignatureKey(mls.X25519_CHACHA20POLY1305_SHA256_Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

// revoke takes an account's phone off its list, by the recovery key, and returns the
// device in its place.
func (s *story) revoke(account string) *client.Device {
	s.t.Helper()
	files, err := client.OpenFiles(s.t.TempDir())
	s.must(err)
	d, err := client.Open(client.Config{Storage: files, Delivery: s.delivery, Laws: s.book, Now: time.Now, KeyPackages: 3, Directory: s.directory, Address: address})
	s.must(err)
	id := directory.Identity{Account: account, Device: "phone-2"}
	s.must(d.Recover(ctx, id, s.Charter.Hash(), directorytest.Recovery(account), directorytest.Recovery(account+" again").Public()))
	return d
}

// With the directory away what opens is evidence without a proof of whose it is, and
// says so. Opening again when it is back completes it: no custodian releases anew.
func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.talk()
	c := s.authorise("ann", both)
	nobody := s.config()
	nobody.Directory = nil
	away := s.config()
	away.Directory = api.NewDirectoryClient(http.DefaultClient, "http://127.0.0.1:1")
	var first *examine.Opened
	for name, config := range map[string]examine.Config{"nobody to ask": nobody, "away": away} {
		opened, err := openOne(config, c)
		s.must(err)
		r := s.checkBundle(opened, "one", "two", "NOT PROVEN")
		if r.KeysProven || len(r.Unproven) != 2 || len(opened.Unproven) != 2 || len(opened.Accounts) != 0 {
			t.Errorf("%s: unproven %q, %v", name, r.Unproven, opened.Unproven)
		}
		first = opened
	}
	_, before := s.Book()
	opened, err := openOne(s.config(), c)
	s.must(err)
	if r := s.checkBundle(opened, "one", "two"); !r.KeysProven || len(opened.Accounts) != 2 || len(opened.Unproven) != 0 {
		t.Errorf("unproven %q, %v", r.Unproven, opened.Unproven)
	}
	if _, after := s.Book(); len(after) != len(before) {
		t.Errorf("completing the evidence added %d entries to the ledger", len(after)-len(before))
	}
	for i, release := range opened.Releases {
		if !bytes.Equal(release.Release, first.Releases[i].Release) {
			t.Errorf("%s released anew", release.Custodian)
		}
	}
}

// asked is a directory that does something when it is asked.
type asked struct {
	api.DirectoryClient
	look func() error
}

func (d asked) LookUp(ctx context.Context, q *api.LookUpRequest) (*api.LookUpResponse, error) {
	if err := d.look(); err != nil {
		return nil, err
	}
	return d.DirectoryClient.LookUp(ctx, q)
}

// A directory that is away is not waited for once for each account; who ends the
// opening ends it; and proofs leave room for what was said.
func TestAskingTheDirectory(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	s.talk()
	c := s.authorise("ann", both)
	calls := 0
	config := s.config()
	config.Directory = asked{s.directory, func() error {
		calls++
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	}}
	if opened, err := openOne(config, c); err != nil || len(opened.Unproven) != 2 || calls != 4 {
		t.Errorf("away: asked %d times, %v", calls, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	config.Directory = asked{s.directory, func() error { cancel(); return canceled.Err() }}
	if opening, err := examine.Open(canceled, config, c); opening != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	whole, err := openOne(s.config(), c)
	s.must(err)
	config = s.config()
	config.MaxProofs = len(whole.Accounts[0].Encode())
	if opened, err := openOne(config, c); err != nil || len(opened.Accounts) != 1 || opened.Unproven["ben"] == nil {
		t.Errorf("with room for one: %v", err)
	}
}

// What a directory answers that does not hold is left out, for that account alone.
func TestHostileDirectory(t *testing.T) {
	t.Parallel()
	s := newStory(t, nil)
	d := s.directory.(*directorytest.Directory)
	s.talk()
	c := s.authorise("ann", both)
	bens := d.Proof("ben")
	for name, lie := range map[string]func(out *api.LookUpResponse){
		"another's look-up": func(out *api.LookUpResponse) { out.Lookups[0] = bens.Lookup },
		"no witness": func(out *api.LookUpResponse) {
			out.Checkpoint = out.Checkpoint[:bytes.LastIndex(out.Checkpoint, []byte("— "))]
		},
		"no look-up":           func(out *api.LookUpResponse) { out.Lookups = nil },
		"two look-ups":         func(out *api.LookUpResponse) { out.Lookups = append(out.Lookups, out.Lookups[0]) },
		"no dates":             func(out *api.LookUpResponse) { out.Dates = nil },
		"dates of no version":  func(out *api.LookUpResponse) { out.Dates[0].Dates = append(out.Dates[0].Dates, out.Dates[0].Dates[0]) },
		"a date that is wrong": func(out *api.LookUpResponse) { x := out.Dates[0].Dates[0]; x.Before = x.After },
	} {
		d.Lie(func(q *api.LookUpRequest, out *api.LookUpResponse) {
			if q.Accounts[0] == "ann" {
				lie(out)
			}
		})
		opened, err := openOne(s.config(), c)
		s.must(err)
		r := s.checkBundle(opened, "one", "two")
		if opened.Unproven["ann"] == nil || len(opened.Unproven) != 1 || len(r.Unproven) != 1 || !strings.Contains(r.Unproven[0], "ann's") {
			t.Errorf("%s: unproven %q, %v", name, r.Unproven, opened.Unproven)
		}
	}
	d.Lie(func(_ *api.LookUpRequest, out *api.LookUpResponse) {
		for _, x := range out.Dates[0].Dates {
			x.Before, x.After = nil, nil
		}
	})
	opened, err := openOne(s.config(), c)
	s.must(err)
	if r := s.checkBundle(opened); len(opened.Accounts) != 2 || len(r.Unproven) != 2 {
		t.Errorf("without dates: unproven %q, %v", r.Unproven, opened.Unproven)
	}
	d.Lie(func(_ *api.LookUpRequest, out *api.LookUpResponse) {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		further, err := torchwood.NewCosignatureSigner("new.test", key)
		s.must(err)
		text, _, _ := strings.Cut(string(out.Checkpoint), "\n\n")
		out.Checkpoint = append(out.Checkpoint, directorytest.Cosign(further.Verifier(), key, text+"\n", time.Now())...)
	})
	if opened, err := openOne(s.config(), c); err != nil || len(opened.Unproven) != 0 || !s.checkBundle(opened).KeysProven {
		t.Errorf("with a further witness: %v", err)
	}
	d.Lie(nil)
	d.Stamp(time.Now().Add(-11 * time.Minute))
	if opened, err := openOne(s.config(), c); err != nil || len(opened.Unproven) != 2 {
		t.Errorf("a stale answer: %v", err)
	}
	d.Stamp(time.Time{})
	if opened, err := openOne(s.config(), c); err != nil || len(opened.Unproven) != 0 {
		t.Errorf("the truth: %v", err)
	}
}
