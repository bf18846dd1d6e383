package custodian

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"writ/charter"
	"writ/internal/keyfile"
	"writ/internal/wire"
	"writ/ledger"
	"writ/unseal"
	"writ/warrant"
)

// keyFile is the name of the file with a custodian's private keys: see package
// keyfile.
const keyFile = "keys.age"

// Names say which custodian of which law this is.
type Names struct{ Charter, Office, Custodian string }

// recipient is the custodian's id in envelopes.
func (n Names) recipient() string { return n.Office + "/" + n.Custodian }

// Public is what a charter says of a custodian.
type Public struct {
	Custodian  charter.Custodian
	Statements []*charter.KeyStatement
}

// keyring holds the private keys of one custodian, in memory and in the key
// file. The two are the same whenever mu is free. Encoded: uint16 version = 1
// || charter<V> || office<V> || custodian<V> || signing[32] || mail[32] ||
// Period periods<V> || Hold holds<V>, Period being uint32 period || uint16 kem || key<V>,
// Hold request[32] || key[32].
type keyring struct {
	dir   string
	work  int
	names Names

	mu         sync.Mutex // held while the file is written, and to erase
	passphrase []byte     // the ring's own copy; nil once erased: nothing is written any more
	signing    ed25519.PrivateKey
	mail       *warrant.MailKey
	secrets
}

// secrets are the keys that come and go. Their maps are replaced, never changed.
type secrets struct {
	periods map[uint32]*unseal.CustodianKey
	holds   map[ledger.EntryHash][32]byte // that seal what is kept for a request
}

const keyringVersion = 1

// maxHolds bounds the holds of a custodian, so that their keys, 64 bytes each, leave half
// of a key file for those of periods: a file too long could be read by nobody.
const maxHolds = keyfile.MaxSize / 2 / 64

var errHoldsFull = fmt.Errorf("custodian: refused: it keeps %d holds, and has room for no more", maxHolds)

// CreateKeys makes the key file of a new custodian in an existing directory,
// with signing key, mail key and one HPKE key for each period. It refuses to
// replace a key file. Work is scrypt's work factor; 0 means
// [keyfile.DefaultWorkFactor].
func CreateKeys(dir string, passphrase []byte, work int, n Names, kem charter.KEM, periods ...uint32) (*Public, error) {
	if !wire.ValidName(n.Office) || !wire.ValidName(n.Custodian) {
		return nil, fmt.Errorf("custodian: invalid: office %q, custodian %q", n.Office, n.Custodian)
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("custodian: refused: %s exists already in %s", keyFile, dir)
	}
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("custodian: %w", err)
	}
	mail, err := warrant.NewMailKey()
	if err != nil {
		return nil, fmt.Errorf("custodian: %w", err)
	}
	k := &keyring{dir: dir, passphrase: bytes.Clone(passphrase), work: work, names: n, signing: signing, mail: mail,
		secrets: noSecrets()}
	defer k.erase()
	if err := k.generate(kem, periods...); err != nil {
		return nil, err
	}
	return k.public(), nil
}

// openKeys reads the key file. The caller may erase the passphrase afterwards: the ring
// keeps a copy, with which it writes the file anew.
func openKeys(dir string, passphrase []byte, work int) (*keyring, error) {
	if err := keyfile.CheckWork(work); err != nil {
		return nil, err
	}
	plain, err := keyfile.Read(filepath.Join(dir, keyFile), passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	k := &keyring{dir: dir, passphrase: bytes.Clone(passphrase), work: work, secrets: noSecrets()}
	if err := k.parse(plain); err != nil {
		k.erase()
		return nil, fmt.Errorf("custodian: %s: %w", keyFile, err)
	}
	return k, nil
}

func (k *keyring) parse(b []byte) error {
	r := wire.NewReader(b)
	if v := r.Uint16(); v != keyringVersion {
		r.Fail("version %d", v)
	}
	k.names = Names{r.String(256), r.Name(), r.Name()}
	signing, mail := r.Fixed(ed25519.SeedSize), r.Fixed(32)
	periods, last := r.Vector(keyfile.MaxSize), int64(-1)
	for periods.More() {
		number, kem, secret := periods.Uint32(), charter.KEM(periods.Uint16()), periods.Opaque(4096)
		if int64(number) <= last {
			periods.Fail("periods not in ascending order")
		}
		if periods.Err() != nil {
			break
		}
		last = int64(number)
		key, err := unseal.ParseCustodianKey(kem, secret)
		if err != nil {
			return err
		}
		k.periods[number] = key
	}
	r.Check(periods.Done())
	list := r.Vector(keyfile.MaxSize)
	for before := []byte(nil); list.More(); {
		request := ledger.EntryHash(list.Array32())
		if before != nil && bytes.Compare(before, request[:]) >= 0 {
			list.Fail("holds not in ascending order")
		}
		k.holds[request], before = list.Array32(), request[:]
	}
	r.Check(list.Done())
	if err := r.Done(); err != nil {
		return err
	}
	k.signing = ed25519.NewKeyFromSeed(signing)
	var err error
	k.mail, err = warrant.ParseMailKey(mail)
	return err
}

func noSecrets() secrets {
	return secrets{map[uint32]*unseal.CustodianKey{}, map[ledger.EntryHash][32]byte{}}
}

// change saves changed copies of the secrets and takes them over, unless change says that
// there is nothing to do.
func (k *keyring) change(change func(*secrets) (bool, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.passphrase == nil {
		return errErased
	}
	next := secrets{maps.Clone(k.periods), maps.Clone(k.holds)}
	if changed, err := change(&next); err != nil || !changed {
		return err
	}
	plain, err := k.encode(&next)
	if err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	defer clear(plain)
	if err := keyfile.Write(filepath.Join(k.dir, keyFile), k.passphrase, k.work, plain); err != nil {
		return err
	}
	k.secrets = next
	return nil
}

// encode returns what the key file holds. The caller erases it.
func (k *keyring) encode(s *secrets) ([]byte, error) {
	var periods, list, w wire.Writer
	defer func() { clear(periods.Bytes()); clear(list.Bytes()) }()
	for _, number := range slices.Sorted(maps.Keys(s.periods)) {
		secret, err := s.periods[number].Bytes()
		if err != nil {
			return nil, err
		}
		periods.Uint32(number)
		periods.Uint16(uint16(s.periods[number].KEM()))
		periods.Opaque(secret)
		clear(secret)
	}
	byHash := func(a, b ledger.EntryHash) int { return bytes.Compare(a[:], b[:]) }
	for _, request := range slices.SortedFunc(maps.Keys(s.holds), byHash) {
		key := s.holds[request]
		list.Fixed(request[:])
		list.Fixed(key[:])
	}
	w.Uint16(keyringVersion)
	w.String(k.names.Charter)
	w.String(k.names.Office)
	w.String(k.names.Custodian)
	w.Fixed(k.signing.Seed())
	w.Fixed(k.mail.Bytes())
	w.Opaque(periods.Bytes())
	w.Opaque(list.Bytes())
	return w.Bytes(), nil
}

// generate makes the keys of periods that have none, and saves them.
func (k *keyring) generate(kem charter.KEM, periods ...uint32) error {
	return k.change(func(s *secrets) (bool, error) {
		for _, number := range periods {
			if _, ok := s.periods[number]; ok {
				continue
			}
			key, err := unseal.NewCustodianKey(kem)
			if err != nil {
				return false, fmt.Errorf("custodian: %w", err)
			}
			s.periods[number] = key
		}
		return true, nil
	})
}

// destroy erases a period's key in memory and in the key file. Without such a
// key it does nothing.
func (k *keyring) destroy(period uint32) error {
	return k.change(func(s *secrets) (bool, error) {
		_, there := s.periods[period]
		delete(s.periods, period)
		return there, nil
	})
}

// holdKey returns the key that seals what is kept for a request, and makes it if there
// is none.
func (k *keyring) holdKey(request ledger.EntryHash) (key [32]byte, err error) {
	err = k.change(func(s *secrets) (bool, error) {
		old, there := s.holds[request]
		if key = old; there {
			return false, nil
		}
		if len(s.holds) >= maxHolds {
			return false, errHoldsFull
		}
		rand.Read(key[:])
		s.holds[request] = key
		return true, nil
	})
	return key, err
}

// endHold erases a hold's key in memory and in the key file.
func (k *keyring) endHold(request ledger.EntryHash) error {
	return k.change(func(s *secrets) (bool, error) {
		_, there := s.holds[request]
		delete(s.holds, request)
		return there, nil
	})
}

// room reports whether a hold more can be kept.
func (k *keyring) room() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.holds) < maxHolds
}

// hold returns the key of a hold.
func (k *keyring) hold(request ledger.EntryHash) (key [32]byte, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok = k.holds[request]
	return key, ok
}

// statement returns the signed statement of a period's public key: the same
// bytes each time. It is nil if there is no such key.
func (k *keyring) statement(period uint32) *charter.KeyStatement {
	k.mu.Lock()
	key, ok := k.periods[period]
	k.mu.Unlock()
	if !ok {
		return nil
	}
	s := &charter.KeyStatement{CharterName: k.names.Charter, Office: k.names.Office, Custodian: k.names.Custodian,
		Period: period, KEM: key.KEM(), PublicKey: key.Public()}
	s.Sign(k.signing)
	return s
}

// held returns the periods that have a key, in order.
func (k *keyring) held() []uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.periods))
}

// ring returns the keys as they are now.
func (k *keyring) ring() *unseal.Keyring {
	k.mu.Lock()
	defer k.mu.Unlock()
	ring := unseal.NewKeyring(k.names.Office, k.names.Custodian)
	for number, key := range k.periods {
		ring.Add(number, key)
	}
	return ring
}

func (k *keyring) verifier() charter.CustodianKey {
	return charter.CustodianKey(k.signing.Public().(ed25519.PublicKey))
}

func (k *keyring) public() *Public {
	p := &Public{Custodian: charter.Custodian{ID: k.names.Custodian, Key: k.verifier(), Mail: k.mail.Public()}}
	for _, number := range k.held() {
		p.Statements = append(p.Statements, k.statement(number))
	}
	return p
}

// errErased is the error of a change that came when the custodian was closed.
var errErased = errors.New("custodian: closed: its keys are erased from memory")

// erase forgets what can be erased, once no change is under way: Go's runtime may hold
// copies of parsed keys.
func (k *keyring) erase() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.signing)
	clear(k.passphrase)
	k.passphrase = nil
}
