// Package adversary holds a test for each thing that doc/threat-model.md says an
// adversary can't do. Each is written as that adversary: it takes what the
// adversary has, tries by the best means we know, in several ways, and fails if a
// way leads there, or if the victim is not told.
//
// A test names its line, as TM-7. The services are the real ones, in this
// process; where a service is the adversary, the test does what its operator
// could do with its database, its keys and its place on the wire.
//
// A failed test says "breach". In defences.txt stands, for each test, the code that
// stands in the adversary's way; test/mutate takes it out and demands the breach.
package adversary

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"writ/api"
	"writ/bundle"
	"writ/capsule"
	"writ/client"
	"writ/examine"
	"writ/internal/testenv"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/unseal"
)

var ctx = context.Background()

// small is a deployment with three custodians of two offices, one needed of each.
func small(t *testing.T) *testenv.World {
	return testenv.New(t, testenv.Options{Shapes: testlaw.Small})
}

// breach says that the adversary reached what it wanted, or that its victim was
// not told.
func breach(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Errorf("breach: "+format, args...)
}

// told demands that the victim is told something.
func told(t testing.TB, who *testenv.Person, id client.ConversationID, kind client.EventKind, what string) {
	t.Helper()
	lines := who.Told(id, kind)
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, what) }) {
		breach(t, "%s is not told %q, but %q", who.Account, what, lines)
	}
}

// hides demands that a person is not shown a text.
func hides(t testing.TB, who *testenv.Person, id client.ConversationID, text string) {
	t.Helper()
	if slices.Contains(who.Shown(id), text) {
		breach(t, "%s is shown %q", who.Account, text)
	}
}

// refused demands that every custodian refuses a package for one of the reasons, over its
// signature if it takes who asks for somebody who knows the warrant: a signed refusal is an
// entry that anybody can log.
func refused(t testing.TB, w *testenv.World, what string, p *examine.Package, reasons ...unseal.Reason) {
	t.Helper()
	for _, c := range w.Custodians {
		out, err := w.Ask(c, p)
		if err != nil {
			t.Fatalf("%s: %s: %v", what, c.Who(), err)
		}
		refusal(t, what, c, out, reasons...)
	}
}

func refusal(t testing.TB, what string, c testlaw.Custodian, out *api.ReleaseResponse, reasons ...unseal.Reason) {
	t.Helper()
	f := out.GetRefused()
	if f == nil {
		breach(t, "%s: %s releases its share", what, c.Who())
		return
	}
	e, err := ledger.ParseEntry(f.Refusal)
	switch {
	case f.Logged && (err != nil || e.Refusal == nil || !e.Refusal.Verify(c.Public.Custodian.Key)):
		breach(t, "%s: %s does not sign its refusal: %v", what, c.Who(), err)
	case !f.Logged && len(f.Refusal) > 0:
		breach(t, "%s: %s signs a refusal that it does not log, so others can", what, c.Who())
	}
	if !slices.Contains(reasons, unseal.Reason(f.Reason)) {
		breach(t, "%s: %s refuses because %q", what, c.Who(), unseal.Reason(f.Reason))
	}
}

// dump is every byte under a path, or in files that begin with it: what a thief of
// the disk reads.
func dump(t testing.TB, path string) []byte {
	t.Helper()
	var all bytes.Buffer
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing at %s: %v", path, err)
	}
	for _, root := range files {
		err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			all.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.Bytes()
}

// lacks demands that none of the secrets, by what they are, is in what was stolen.
func lacks(t testing.TB, where string, stolen []byte, secrets map[string][]byte) {
	t.Helper()
	for what, secret := range secrets {
		if len(secret) < 4 {
			t.Fatalf("%s is too short to be looked for", what)
		}
		if bytes.Contains(stolen, secret) {
			breach(t, "%s holds %s", where, what)
		}
	}
}

// built is the file of a bundle that must hold.
func built(c bundle.Contents, policy *ledger.Policy) []byte {
	b, _, err := bundle.Build(c, policy)
	return must(b, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func parse(t testing.TB, b []byte) *capsule.Capsule {
	t.Helper()
	c, err := capsule.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
