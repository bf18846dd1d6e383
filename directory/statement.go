package directory

import (
	"crypto/ed25519"

	"writ/internal/wire"
)

// Bounds of a statement and of an account's history.
const (
	MaxDevices   = 16   // devices of an account at one time
	MaxVersion   = 512  // statements of an account in all its life
	MaxStatement = 2048 // bytes
)

const statementFormat = 1

// One type per key role, so that a key in the wrong place doesn't compile. All
// are Ed25519 keys (RFC 8032).
type (
	// DeviceKey is a device's MLS signature key, which verifies its messages and
	// the statements it signs.
	DeviceKey [ed25519.PublicKeySize]byte
	// DeviceSigner is its private half.
	DeviceSigner ed25519.PrivateKey
	// RecoveryKey verifies statements made without any device.
	RecoveryKey [ed25519.PublicKeySize]byte
	// RecoverySigner is its private half, which the person keeps off all devices.
	RecoverySigner ed25519.PrivateKey
)

// StatementHash is Hash("device statement", encoding).
type StatementHash [32]byte

// Device is one device of a statement.
type Device struct {
	Name  string
	Key   DeviceKey
	Added uint64 // Unix seconds, by the clock of the device that signed
}

// Statement says which devices an account has. It is not verified: a [Chain]
// is.
type Statement struct {
	Account   string
	Version   uint64        // 1, 2, ...
	Previous  StatementHash // of version-1; zero in version 1
	Recovery  RecoveryKey
	Devices   []Device // sorted by name
	Signer    string   // a device of the previous version; empty: the recovery key
	Signature [ed25519.SignatureSize]byte
}

// Content returns what the signature covers, under the label "device
// statement": all fields before it.
func (s *Statement) Content() []byte {
	var w wire.Writer
	w.Uint16(statementFormat)
	w.String(s.Account)
	w.Uint64(s.Version)
	w.Fixed(s.Previous[:])
	w.Fixed(s.Recovery[:])
	w.Vector(func(w *wire.Writer) {
		for _, d := range s.Devices {
			w.String(d.Name)
			w.Fixed(d.Key[:])
			w.Uint64(d.Added)
		}
	})
	w.String(s.Signer)
	return w.Bytes()
}

// Encode returns the statement with its signature.
func (s *Statement) Encode() []byte { return append(s.Content(), s.Signature[:]...) }

// Hash returns the statement's hash. It covers the previous one, and by that
// the account's whole history.
func (s *Statement) Hash() StatementHash {
	return StatementHash(wire.Hash("device statement", s.Encode()))
}

// SignAs signs for the device of that name. A key held elsewhere signs
// [Statement.Content] instead, after Signer is set.
func (s *Statement) SignAs(device string, key DeviceSigner) {
	s.Signer = device
	s.sign(ed25519.PrivateKey(key))
}

// SignRecovery signs with the recovery key.
func (s *Statement) SignRecovery(key RecoverySigner) {
	s.Signer = ""
	s.sign(ed25519.PrivateKey(key))
}

func (s *Statement) sign(key ed25519.PrivateKey) {
	copy(s.Signature[:], ed25519.Sign(key, wire.SignContent("device statement", s.Content())))
}

func (s *Statement) signedBy(key [32]byte) bool {
	return ed25519.Verify(key[:], wire.SignContent("device statement", s.Content()), s.Signature[:])
}

// Device returns the device of that name.
func (s *Statement) Device(name string) (Device, bool) {
	for _, d := range s.Devices {
		if d.Name == name {
			return d, true
		}
	}
	return Device{}, false
}

// newest returns the latest time at which a device was added.
func (s *Statement) newest() (t uint64) {
	for _, d := range s.Devices {
		t = max(t, d.Added)
	}
	return t
}

// Parse parses a statement and checks what concerns it alone (DIR-1 to DIR-4),
// not its signature.
func Parse(b []byte) (*Statement, error) {
	if len(b) > MaxStatement {
		return nil, malformed("statement of %d bytes", len(b))
	}
	r := wire.NewReader(b)
	format := r.Uint16()
	if r.Err() == nil && format != statementFormat {
		return nil, unsupported("statement format %d", format)
	}
	s := &Statement{Account: r.Name(), Version: r.Uint64(), Previous: r.Array32(), Recovery: r.Array32()}
	s.Devices = parseDevices(r)
	s.Signer = parseSigner(r)
	copy(s.Signature[:], r.Fixed(len(s.Signature)))
	if err := r.Done(); err != nil {
		return nil, malformed("statement: %v", err)
	}
	if err := s.checkForm(); err != nil {
		return nil, err
	}
	return s, nil
}

// parseDevices reads a set: sorted by name, each name once (ENC-8).
func parseDevices(r *wire.Reader) []Device {
	var devices []Device
	v := r.Vector(MaxStatement)
	for v.More() {
		d := Device{Name: v.Name(), Key: v.Array32(), Added: v.Uint64()}
		if n := len(devices); v.Err() == nil && n > 0 && devices[n-1].Name >= d.Name {
			v.Fail("devices %q and %q out of order", devices[n-1].Name, d.Name)
		}
		devices = append(devices, d)
		if len(devices) > MaxDevices {
			v.Fail("more than %d devices", MaxDevices)
		}
	}
	r.Check(v.Done())
	return devices
}

func parseSigner(r *wire.Reader) string {
	b := r.Opaque(wire.MaxName)
	if len(b) > 0 && !wire.ValidName(string(b)) {
		r.Fail("signer %q is not a name", b)
	}
	return string(b)
}

func (s *Statement) checkForm() error {
	if s.Version < 1 || s.Version > MaxVersion { // DIR-2
		return invalid("version %d, an account has at most %d", s.Version, MaxVersion)
	}
	for i, d := range s.Devices { // DIR-3
		if d.Added > wire.MaxTime {
			return invalid("device %q was added after the year 9999", d.Name)
		}
		if [32]byte(d.Key) == [32]byte(s.Recovery) {
			return invalid("the key of device %q is the recovery key", d.Name)
		}
		for _, other := range s.Devices[:i] {
			if d.Key == other.Key {
				return invalid("devices %q and %q have one key", other.Name, d.Name)
			}
		}
	}
	if s.Version > 1 { // DIR-4
		return nil
	}
	if s.Previous != (StatementHash{}) || len(s.Devices) != 1 || s.Signer != s.Devices[0].Name {
		return invalid("a first statement has no previous one and is signed by its only device")
	}
	return nil
}
