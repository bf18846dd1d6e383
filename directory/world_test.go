package directory

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

var now = time.Unix(1_790_000_000, 0)

const maxAge = 10 * time.Minute

func keyOf(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func deviceKey(seed string) DeviceKey {
	return DeviceKey(keyOf(seed).Public().(ed25519.PublicKey))
}

func recoveryKey(seed string) RecoveryKey {
	return RecoveryKey(keyOf(seed).Public().(ed25519.PublicKey))
}

func labelSigner(t testing.TB) *LabelSigner {
	t.Helper()
	h := sha256.Sum256([]byte("label key"))
	h[31] &= 0x0f
	k, err := NewLabelSigner(h[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// device is account's device of that name; its key is that of "account/name".
func device(account, name string, added uint64) Device {
	return Device{name, deviceKey(account + "/" + name), added}
}

const added = 1_780_000_000

// first is the first statement of an account with the device "phone" and the
// recovery key "account recovery".
func first(account string) *Statement {
	s := &Statement{Account: account, Version: 1, Recovery: recoveryKey(account + " recovery"),
		Devices: []Device{device(account, "phone", added)}}
	s.SignAs("phone", DeviceSigner(keyOf(account+"/phone")))
	return s
}

// after is an unsigned statement that follows prev, changed by change.
func after(prev *Statement, change func(*Statement)) *Statement {
	s := &Statement{Account: prev.Account, Version: prev.Version + 1, Previous: prev.Hash(), Recovery: prev.Recovery,
		Devices: slices.Clone(prev.Devices)}
	change(s)
	return s
}

func (s *Statement) add(name string) {
	s.Devices = append(s.Devices, device(s.Account, name, max(added, s.newest())))
	slices.SortFunc(s.Devices, func(a, b Device) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (s *Statement) remove(name string) {
	s.Devices = slices.DeleteFunc(s.Devices, func(d Device) bool { return d.Name == name })
}

// by signs as a device of the account, or with its recovery key for "".
func (s *Statement) by(device string) *Statement {
	if device == "" {
		s.SignRecovery(RecoverySigner(keyOf(s.Account + " recovery")))
	} else {
		s.SignAs(device, DeviceSigner(keyOf(s.Account+"/"+device)))
	}
	return s
}

// testLog is a directory's log in memory. It writes whatever it is given.
type testLog struct {
	entries [][]byte
	hashes  []tlog.Hash
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range at {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *testLog) append(entry []byte) uint64 {
	more, err := tlog.StoredHashes(int64(len(l.entries)), entry, l)
	if err != nil {
		panic(err)
	}
	l.entries, l.hashes = append(l.entries, entry), append(l.hashes, more...)
	return uint64(len(l.entries)) - 1
}

func (l *testLog) facts() Facts {
	root, err := tlog.TreeHash(int64(len(l.entries)), l)
	if err != nil {
		panic(err)
	}
	return Facts{Size: uint64(len(l.entries)), Root: root, Time: now, MaxAge: maxAge}
}

// server is a directory: honest, if only its methods are used.
type server struct {
	testing.TB
	key   *LabelSigner
	log   *testLog
	book  *Book
	known map[string][]Opened
}

func newServer(t testing.TB) *server {
	return &server{t, labelSigner(t), &testLog{}, NewBook(), map[string][]Opened{}}
}

func (s *server) append(entry []byte) uint64 {
	s.Helper()
	if err := s.book.Apply(entry); err != nil {
		s.Fatal(err)
	}
	return s.log.append(entry)
}

func (s *server) label(account string) Label {
	l, _ := s.key.Prove(account)
	return l
}

// publish logs a statement under its account's label.
func (s *server) publish(x *Statement) *Statement {
	s.Helper()
	return s.publishAs(x.Account, x)
}

func (s *server) publishAs(account string, x *Statement) *Statement {
	s.Helper()
	salt := sha256.Sum256([]byte(fmt.Sprint("salt ", account, len(s.log.entries))))
	index := s.append(NewLeaf(s.label(account), x, salt).Entry())
	s.known[account] = append(s.known[account], Opened{x, salt, index})
	return x
}

// fill logs n leaves of labels that nobody asks for.
func (s *server) fill(n int) {
	for range n {
		h := sha256.Sum256(fmt.Append(nil, "filler ", len(s.log.entries)))
		s.append(Leaf{Label: h, Commitment: h}.Entry())
	}
}

func (s *server) root() { s.append(s.book.Root().Entry()) }

func (s *server) lookup(account string) *Lookup {
	s.Helper()
	label, proof := s.key.Prove(account)
	l, err := s.book.Lookup(label, proof, slices.Clone(s.known[account]), s.log)
	if err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *server) verify(account string) (*Verified, error) {
	s.Helper()
	return Verify(s.lookup(account).Encode(), account, s.key.Public(), s.log.facts(), now)
}

func (s *server) mustVerify(account string) *Verified {
	s.Helper()
	v, err := s.verify(account)
	if err != nil {
		s.Fatal(err)
	}
	return v
}
