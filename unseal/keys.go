package unseal

import (
	"bytes"
	"crypto/hpke"
	"fmt"

	"writ/charter"
	"writ/internal/wire"
)

// CustodianKey is a custodian's HPKE private key of one key period. It is
// parsed once, because parsing costs more than opening.
type CustodianKey struct{ private hpke.PrivateKey }

// NewCustodianKey returns a fresh key for a KEM a charter allows.
func NewCustodianKey(kem charter.KEM) (*CustodianKey, error) {
	k, err := newKEM(kem)
	if err != nil {
		return nil, err
	}
	private, err := k.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return &CustodianKey{private}, nil
}

// ParseCustodianKey reads what [CustodianKey.Bytes] gave.
func ParseCustodianKey(kem charter.KEM, b []byte) (*CustodianKey, error) {
	k, err := newKEM(kem)
	if err != nil {
		return nil, err
	}
	private, err := k.NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w: custodian key: %v", wire.ErrMalformed, err)
	}
	return &CustodianKey{private}, nil
}

// TokenKey takes a private key that lies, at least in part, in a hardware token
// (see [hpke.NewHybridPrivateKey]).
func TokenKey(private hpke.PrivateKey) (*CustodianKey, error) {
	if _, err := newKEM(charter.KEM(private.KEM().ID())); err != nil {
		return nil, err
	}
	return &CustodianKey{private}, nil
}

// KEM returns the key's KEM.
func (k *CustodianKey) KEM() charter.KEM { return charter.KEM(k.private.KEM().ID()) }

// Public returns the public key, as a key statement names it.
func (k *CustodianKey) Public() []byte { return k.private.PublicKey().Bytes() }

// Bytes returns a copy of the private key for storage, which the caller erases. A
// token's key gives an error.
func (k *CustodianKey) Bytes() ([]byte, error) { return copyOf(k.private) }

// copyOf copies a private key: what [hpke.PrivateKey.Bytes] returns may be the
// key's own memory, and erasing that would destroy the key at its next storing.
func copyOf(k hpke.PrivateKey) ([]byte, error) {
	b, err := k.Bytes()
	return bytes.Clone(b), err
}

func newKEM(kem charter.KEM) (hpke.KEM, error) {
	if kem.PublicKeySize() == 0 {
		return nil, fmt.Errorf("unseal: %w: KEM %#04x", ErrUnsupported, uint16(kem))
	}
	return hpke.NewKEM(uint16(kem))
}

// Keyring is one custodian's keys by period. It is not safe for use during a
// change.
type Keyring struct {
	office, custodian string
	keys              map[uint32]*CustodianKey
}

// NewKeyring returns an empty ring of a custodian.
func NewKeyring(office, custodian string) *Keyring {
	return &Keyring{office, custodian, map[uint32]*CustodianKey{}}
}

// Add puts in the key of a period, in place of an earlier one.
func (k *Keyring) Add(period uint32, key *CustodianKey) { k.keys[period] = key }

// Forget drops the key of a period. Destroying its stored bytes is the caller's
// part.
func (k *Keyring) Forget(period uint32) { delete(k.keys, period) }

// ReaderKey is the examiner's private key for one warrant (X-Wing). It opens
// releases and nothing else.
type ReaderKey struct{ private hpke.PrivateKey }

// NewReaderKey returns a fresh key.
func NewReaderKey() (*ReaderKey, error) {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	return &ReaderKey{private}, nil
}

// ParseReaderKey reads the 32 bytes of [ReaderKey.Bytes].
func ParseReaderKey(b []byte) (*ReaderKey, error) {
	private, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w: reader key: %v", wire.ErrMalformed, err)
	}
	return &ReaderKey{private}, nil
}

// Bytes returns a copy of the 32-byte private key, for storage.
func (k *ReaderKey) Bytes() ([]byte, error) { return copyOf(k.private) }

// Public returns the public key, as [warrant.Warrant].ReaderKey names it.
func (k *ReaderKey) Public() []byte { return k.private.PublicKey().Bytes() }
