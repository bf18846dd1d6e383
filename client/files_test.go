package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"writ/internal/wire"
	"writ/mls"
)

var errCrash = errors.New("the machine went down")

// A crashDisk is a disk whose machine goes down at a chosen step. What was
// written and not synced is then there, not there, or torn.
type crashDisk struct {
	rng     *rand.Rand
	left    int             // steps until the crash; negative: none
	names   map[string]int  // path -> file
	onDisk  map[string]int  // the same, as synced
	content map[int][]byte  // synced content of each file
	dirs    map[string]bool // synced
	next    int
}

func newCrashDisk(seed uint64) *crashDisk {
	return &crashDisk{rand.New(rand.NewPCG(seed, 1)), -1, map[string]int{}, map[string]int{}, map[int][]byte{}, map[string]bool{}, 0}
}

// step reports whether the machine goes down during this step.
func (d *crashDisk) step() bool {
	d.left--
	return d.left == -1
}

func (d *crashDisk) down() bool { return d.left == -1 }

// restart brings the machine up again: each name is as synced or as last seen.
func (d *crashDisk) restart() {
	for _, m := range []map[string]int{d.names, d.onDisk} {
		for path := range m {
			if d.rng.IntN(2) == 0 {
				if file, ok := d.names[path]; ok {
					d.onDisk[path] = file
				} else {
					delete(d.onDisk, path)
				}
			}
		}
	}
	d.names = maps.Clone(d.onDisk)
	d.left = -2
}

func (d *crashDisk) mkdir(name string) error {
	if d.step() {
		if d.rng.IntN(2) == 0 {
			d.dirs[name] = true
		}
		return errCrash
	}
	d.dirs[name] = true
	return nil
}

func (d *crashDisk) list(dir string) ([]string, error) {
	if !d.dirs[dir] {
		return nil, fs.ErrNotExist
	}
	var names []string
	for path := range d.names {
		if strings.HasPrefix(path, dir+"/") {
			names = append(names, path[len(dir)+1:])
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *crashDisk) read(path string) ([]byte, error) {
	file, ok := d.names[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(d.content[file]), nil
}

func (d *crashDisk) put(path string, b []byte) error {
	file, ok := d.names[path]
	if !ok {
		d.next++
		file = d.next
		d.names[path] = file
	}
	if d.step() {
		d.content[file] = d.torn(d.content[file], b)
		return errCrash
	}
	d.content[file] = bytes.Clone(b)
	return nil
}

// torn mixes old and new content block by block, blocks being of 16 bytes.
func (d *crashDisk) torn(before, after []byte) []byte {
	mixed := bytes.Clone(before)
	if len(after) > len(mixed) || d.rng.IntN(2) == 0 {
		mixed = append(mixed[:min(len(mixed), len(after))], make([]byte, max(0, len(after)-len(mixed)))...)
	}
	for i := 0; i < min(len(mixed), len(after)); i += 16 {
		if end := min(i+16, len(mixed), len(after)); d.rng.IntN(2) == 0 {
			copy(mixed[i:end], after[i:end])
		}
	}
	return mixed
}

func (d *crashDisk) erase(path string) error {
	file, ok := d.names[path]
	if !ok {
		return nil
	}
	if d.step() {
		d.content[file] = d.torn(d.content[file], nil)
		if d.rng.IntN(2) == 0 {
			delete(d.names, path)
		}
		return errCrash
	}
	d.content[file] = nil
	delete(d.names, path)
	return nil
}

func (d *crashDisk) syncDir(dir string) error {
	if d.step() {
		return errCrash
	}
	maps.DeleteFunc(d.onDisk, func(path string, _ int) bool { return strings.HasPrefix(path, dir+"/") })
	for path, file := range d.names {
		if strings.HasPrefix(path, dir+"/") {
			d.onDisk[path] = file
		}
	}
	return nil
}

// script is a few changes that create, replace, shorten, grow and delete.
func script() [][]mls.Record {
	long := bytes.Repeat([]byte("long "), 40)
	return [][]mls.Record{
		{{Key: "a", Value: []byte("1")}, {Key: "b/x", Value: long}},
		{{Key: "a", Value: nil}, {Key: "b/x", Value: []byte("short")}, {Key: "c", Value: []byte{}}},
		{{Key: "b/x", Value: append(long, long...)}, {Key: "gone", Value: nil}},
		{{Key: "c", Value: nil}, {Key: "a", Value: []byte("again")}, {Key: "b/x", Value: nil}},
	}
}

func apply(state map[string]string, records []mls.Record) map[string]string {
	state = maps.Clone(state)
	for _, r := range records {
		if r.Value == nil {
			delete(state, r.Key)
		} else {
			state[r.Key] = string(r.Value)
		}
	}
	return state
}

func load(t testing.TB, s Storage, space string) map[string]string {
	t.Helper()
	records, err := s.Load(space)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, r := range records {
		state[r.Key] = string(r.Value)
	}
	return state
}

// The machine goes down at every step of the script, and at every step of the
// recovery after it. The change under way is then made or not, nothing else.
func TestFilesSurviveCrashAtEveryStep(t *testing.T) {
	for seed := range uint64(20) {
		for crash := 0; ; crash++ {
			d := newCrashDisk(seed*1000 + uint64(crash))
			d.left = crash
			done, before, after := runUntilCrash(d)
			if done {
				break
			}
			for again := 0; d.down(); again++ {
				d.restart()
				d.left = again
				_, err := newFiles(d).Load("space")
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("seed %d, crash at step %d, recovery %d: %v", seed, crash, again, err)
				}
			}
			d.restart()
			got := load(t, newFiles(d), "space")
			if !maps.Equal(got, before) && !maps.Equal(got, after) {
				t.Fatalf("seed %d, crash at step %d: %v, want %v or %v", seed, crash, got, before, after)
			}
		}
	}
}

// runUntilCrash applies the script and returns the states around the crash.
func runUntilCrash(d *crashDisk) (done bool, before, after map[string]string) {
	f := newFiles(d)
	before = map[string]string{}
	for _, change := range script() {
		after = apply(before, change)
		if err := f.Apply("space", change); err != nil {
			if f.Apply("space", change) == nil {
				panic("a broken Files goes on")
			}
			return false, before, after
		}
		before = after
	}
	return true, before, after
}

func TestFilesKeepWhatWasApplied(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(rt, "runs") {
			f, err := OpenFiles(dir)
			if err != nil {
				rt.Fatal(err)
			}
			if got := load(t, f, "space"); !maps.Equal(got, want) {
				rt.Fatalf("after opening again: %v, want %v", got, want)
			}
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				change := rapid.SliceOfN(rapid.Custom(drawRecord), 0, 4).Draw(rt, "change")
				if err := f.Apply("space", change); err != nil {
					rt.Fatal(err)
				}
				want = apply(want, change)
			}
			if err := f.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func drawRecord(rt *rapid.T) mls.Record {
	r := mls.Record{Key: rapid.StringN(0, 5, 10).Draw(rt, "key")}
	if rapid.Bool().Draw(rt, "present") {
		r.Value = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "value")
	}
	return r
}

// Two processes with one device would use the same message keys.
func TestFilesAreLocked(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFiles(dir); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("opened twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply("space", nil); err == nil {
		t.Fatal("a closed storage takes changes")
	}
	g, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

// Consumed secrets are overwritten where they lay before the name goes.
func TestFilesOverwriteWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte("secret"), 50)
	if err := f.Apply("space", []mls.Record{{Key: "replaced", Value: secret}, {Key: "deleted", Value: secret}}); err != nil {
		t.Fatal(err)
	}
	held := map[string]*os.File{} // an open file shows its blocks after it was unlinked
	for _, name := range []string{journalName, recordName("replaced"), recordName("deleted")} {
		if held[name], err = os.Open(filepath.Join(dir, "space", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Apply("space", []mls.Record{{Key: "replaced", Value: []byte("x")}, {Key: "deleted", Value: nil}}); err != nil {
		t.Fatal(err)
	}
	for name, file := range held {
		b := make([]byte, 4096)
		n, _ := file.ReadAt(b, 0)
		if bytes.Contains(b[:n], []byte("secret")) {
			t.Errorf("%s still holds the secret", name)
		}
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesTellDamage(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Apply("space", []mls.Record{{Key: "key", Value: []byte("value")}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "space", recordName("key"))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Load("space"); err == nil {
			t.Fatalf("byte %d changed, and nobody is told", i)
		}
	}
}

func TestMemoryIsAStorage(t *testing.T) {
	var s Storage = NewMemory()
	want := map[string]string{}
	for _, change := range script() {
		if err := s.Apply("space", change); err != nil {
			t.Fatal(err)
		}
		want = apply(want, change)
		if got := load(t, s, "space"); !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

func FuzzParseJournal(f *testing.F) {
	for _, change := range script() {
		b, err := encodeJournal(change)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := parseJournal(b)
		if err != nil {
			if records != nil {
				t.Fatal("records beside an error")
			}
			return
		}
		again, err := encodeJournal(records)
		if err != nil || !bytes.HasPrefix(b, again) || len(bytes.Trim(b[len(again):], "\x00")) > 0 {
			t.Fatal(fmt.Errorf("%x parsed and encoded is %x, %v", b, again, err))
		}
	})
}

// Any account's name can be a record's: else one that is spelt to be long as a file name
// would end the use of each device that it is shown to.
func TestAnyNameIsAFile(t *testing.T) {
	w := newWorld(t)
	files, err := OpenFiles(t.TempDir())
	w.check(err)
	defer files.Close()
	ben, err := Open(w.config(files))
	w.check(err)
	w.register(ben, phone("b-files"), w.access)
	for _, sign := range []string{"@", "_"} {
		name := "a" + strings.Repeat(sign, wire.MaxName-1)
		id := w.talk(w.device(name, w.access), ben)
		w.check(ben.Send(background, id, "hello"))
	}
	if n := len(ben.Conversations()); n != 2 {
		t.Errorf("%d conversations", n)
	}
	if n := len(recordName(keyAccount + strings.Repeat("@", wire.MaxName))); n > 143 { // of eCryptfs
		t.Errorf("a file name of %d bytes", n)
	}
}
