package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/charter"
	"writ/ledger"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeyFiles: each role's key is read back by its role only, mode 0600, and no
// key is ever written over another file.
func TestKeyFiles(t *testing.T) {
	roles := []Role{RoleNotary, RoleWitness, RoleDocket, RoleDelivery, RoleApprover, RoleAgency, RoleReader}
	for _, role := range roles {
		path := filepath.Join(t.TempDir(), "x.key")
		k, err := NewKeyFile(role, "judicial", "example.org/x")
		must(t, err)
		must(t, k.Save(path))
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", role, info.Mode())
		}
		if err := k.Save(path); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: written twice: %v", role, err)
		}
		for _, as := range roles {
			if _, err := LoadKeyFile(path, as); (err == nil) != (as == role) {
				t.Errorf("%s read as %s: %v", role, as, err)
			}
		}
	}
	if _, err := NewKeyFile("king", "", "x"); err == nil {
		t.Error("a key for a role that there isn't")
	}
}

// TestWriteNew: of several who write the same new file one does, whole, and the others are
// refused. Nothing else is left in the folder.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	for round := range 50 {
		path := filepath.Join(dir, fmt.Sprint(round))
		errs := make([]error, 8)
		var writers sync.WaitGroup
		for i := range errs {
			writers.Go(func() { errs[i] = WriteNew(path, []byte(strings.Repeat(fmt.Sprint(i), 1000)), 0o600) })
		}
		writers.Wait()
		b, err := os.ReadFile(path)
		must(t, err)
		var wrote int
		for i, err := range errs {
			switch {
			case err == nil && string(b) != strings.Repeat(fmt.Sprint(i), 1000):
				t.Fatalf("round %d: writer %d was overwritten", round, i)
			case err == nil:
				wrote++
			case !strings.Contains(err.Error(), "refused"):
				t.Error(err)
			}
		}
		if wrote != 1 {
			t.Errorf("round %d: %d wrote", round, wrote)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 50 {
		t.Errorf("%d files, %v", len(list), err)
	}
}

// TestStrict: what a configuration doesn't know, it refuses.
func TestStrict(t *testing.T) {
	for what, text := range map[string]string{
		"unknown member": `{"listen": "127.0.0.1:0", "log": []}`,
		"two documents":  `{"listen": "127.0.0.1:0"} {}`,
		"two ends":       `{"listen": "127.0.0.1:0"} }`,
		"wrong type":     `{"listen": 7}`,
		"no JSON":        `listen: 127.0.0.1:0`,
		"empty":          ``,
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o600))
		if c, err := LoadConfig[Witness](dir); err == nil || c != nil || !strings.HasPrefix(err.Error(), "setup: ") {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, ConfigFile), []byte(`{"listen": "x", "deployment": "d", "poll": "2 hours"}`), 0o600))
	if _, err := LoadConfig[Custodian](dir); err == nil {
		t.Error("2 hours is no duration")
	}
	if _, err := Beside(dir, ""); err == nil {
		t.Error("no deployment named")
	}
	saved := &Custodian{Listen: "127.0.0.1:1", Deployment: "d", Poll: 5, Freshness: 7}
	must(t, SaveConfig(dir, saved))
	if read, err := LoadConfig[Custodian](dir); err != nil || *read != *saved {
		t.Errorf("%v, %v", read, err)
	}
}

// TestWorld: a world is whole, reads back, and is not built over.
func TestWorld(t *testing.T) {
	dir := t.TempDir()
	w, err := BuildWorld(dir, WorldOptions{Cap: 3, WorkFactor: 10})
	must(t, err)
	c, err := charter.Parse(w.Signed.Charter)
	must(t, err)
	if c.Limits.CapSubjects != 3 || len(c.Offices) != 4 || len(w.Signed.Signatures) != 6 || len(c.Keys) != 14 {
		t.Errorf("charter: cap %d, %d offices, %d signatures, %d keys", c.Limits.CapSubjects, len(c.Offices), len(w.Signed.Signatures), len(c.Keys))
	}
	book := ledger.NewBook(w.Signed.Hash())
	must(t, book.Apply(0, ledger.CharterEntry(w.Signed), time.Now()))
	if f := book.Findings(); len(f) > 0 {
		t.Errorf("the ledger finds %v", f)
	}
	again, err := OpenWorld(dir)
	if err != nil || again.Signed.Hash() != w.Signed.Hash() || again.Deployment.Delivery != w.Deployment.Delivery {
		t.Errorf("read back: %v", err)
	}
	if _, err := BuildWorld(dir, WorldOptions{}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("built over another: %v", err)
	}
	first, rest, err := w.Services()
	must(t, err)
	seen := map[string]bool{}
	for _, sub := range append(first, rest...) {
		b, err := os.ReadFile(filepath.Join(dir, sub, ConfigFile))
		must(t, err)
		_, listen, _ := strings.Cut(string(b), `"listen": "127.0.0.1:`)
		port, _, ok := strings.Cut(listen, `"`)
		if !ok || seen[port] || port < "20000" || port > "31999" {
			t.Errorf("%s listens on %q", sub, port)
		}
		seen[port] = true
	}
	if len(seen) != 14 {
		t.Errorf("%d services", len(seen))
	}
	keys, err := filepath.Glob(filepath.Join(dir, "custodian", "*", "*"))
	must(t, err)
	for _, path := range keys {
		if info, err := os.Stat(path); err != nil || strings.HasSuffix(path, "keys.age") && info.Mode().Perm() != 0o600 ||
			strings.HasSuffix(path, "passphrase") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestAssemble: parts make the plain law, and what has no place in it is refused.
func TestAssemble(t *testing.T) {
	part := func(role Role, office, name string) *Part {
		return &Part{Role: role, Office: office, Name: name, Key: make([]byte, 32)}
	}
	var c charter.Charter
	must(t, Assemble(&c, []*Part{
		part(RoleCustodian, "b", "b-2"), part(RoleCustodian, "b", "b-1"), part(RoleCustodian, "b", "b-3"),
		part(RoleCustodian, "a", "a-1"), part(RoleApprover, "a", "judge"), part(RoleDocket, "", "docket"), part(RoleDelivery, "", "delivery"),
	}))
	if len(c.Offices) != 2 || c.Offices[0].ID != "a" || c.Offices[1].Custodians[0].ID != "b-1" {
		t.Errorf("offices %v", c.Offices)
	}
	if g := c.Structure; g.Threshold != 2 || g.Children[0].Threshold != 1 || g.Children[1].Threshold != 2 {
		t.Errorf("structure %v", g)
	}
	if len(c.Approval) != 1 || c.Approval[0].Office != "a" {
		t.Errorf("approval %v", c.Approval)
	}
	short := part(RoleApprover, "a", "x")
	short.Key = short.Key[:31]
	statement := part(RoleCustodian, "a", "x")
	statement.Statements = [][]byte{{1, 2, 3}}
	for what, p := range map[string]*Part{"an agency": part(RoleAgency, "", "police"), "a short key": short, "a broken statement": statement} {
		if err := Assemble(new(charter.Charter), []*Part{p}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := LoadParts(t.TempDir()); err == nil {
		t.Error("parts where there are none")
	}
}
