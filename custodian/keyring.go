package custodian

import (
	"crypto/ed25519"
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
// Period periods<V>, Period being uint32 period || uint16 kem || key<V>.
type keyring struct {
	dir        string
	passphrase []byte
	work       int

	names   Names
	signing ed25519.PrivateKey
	mail    *warrant.MailKey

	mu      sync.Mutex
	periods map[uint32]*unseal.CustodianKey
}

const keyringVersion = 1

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
	k := &keyring{dir: dir, passphrase: passphrase, work: work, names: n, signing: signing, mail: mail,
		periods: map[uint32]*unseal.CustodianKey{}}
	defer k.erase()
	if err := k.generate(kem, periods...); err != nil {
		return nil, err
	}
	return k.public(), nil
}

// openKeys reads the key file.
func openKeys(dir string, passphrase []byte, work int) (*keyring, error) {
	plain, err := keyfile.Read(filepath.Join(dir, keyFile), passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	k := &keyring{dir: dir, passphrase: passphrase, work: work, periods: map[uint32]*unseal.CustodianKey{}}
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
	if err := r.Done(); err != nil {
		return err
	}
	k.signing = ed25519.NewKeyFromSeed(signing)
	var err error
	k.mail, err = warrant.ParseMailKey(mail)
	return err
}

// save writes the key file with these periods' keys. The caller holds mu.
func (k *keyring) save(periods map[uint32]*unseal.CustodianKey) error {
	plain, err := k.encode(periods)
	if err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	defer clear(plain)
	return keyfile.Write(filepath.Join(k.dir, keyFile), k.passphrase, k.work, plain)
}

// encode returns what the key file holds. The caller erases it.
func (k *keyring) encode(periods map[uint32]*unseal.CustodianKey) ([]byte, error) {
	var list wire.Writer
	for _, number := range slices.Sorted(maps.Keys(periods)) {
		secret, err := periods[number].Bytes()
		if err != nil {
			return nil, err
		}
		list.Uint32(number)
		list.Uint16(uint16(periods[number].KEM()))
		list.Opaque(secret)
		clear(secret)
	}
	defer clear(list.Bytes())
	var w wire.Writer
	w.Uint16(keyringVersion)
	w.String(k.names.Charter)
	w.String(k.names.Office)
	w.String(k.names.Custodian)
	w.Fixed(k.signing.Seed())
	w.Fixed(k.mail.Bytes())
	w.Opaque(list.Bytes())
	return w.Bytes(), nil
}

// generate makes the keys of periods that have none, and saves them.
func (k *keyring) generate(kem charter.KEM, periods ...uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	more := maps.Clone(k.periods)
	for _, number := range periods {
		if _, ok := more[number]; ok {
			continue
		}
		key, err := unseal.NewCustodianKey(kem)
		if err != nil {
			return fmt.Errorf("custodian: %w", err)
		}
		more[number] = key
	}
	if err := k.save(more); err != nil {
		return err
	}
	k.periods = more
	return nil
}

// destroy erases a period's key in memory and in the key file. Without such a
// key it does nothing.
func (k *keyring) destroy(period uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.periods[period]; !ok {
		return nil
	}
	fewer := maps.Clone(k.periods)
	delete(fewer, period)
	if err := k.save(fewer); err != nil {
		return err
	}
	k.periods = fewer
	return nil
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

// erase forgets what can be erased: Go's runtime may hold copies of parsed keys.
func (k *keyring) erase() { clear(k.signing) }
