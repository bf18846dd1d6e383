package setup

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"writ/directory"
	"writ/examine"
	"writ/warrant"
	"writ/witness"
)

// Role is what a key file is for. A key of one role is refused in the place of
// another.
type Role string

// The roles.
const (
	RoleNotary    Role = "notary"    // signs checkpoints of the ledger
	RoleDirectory Role = "directory" // signs checkpoints of the directory, proves its labels
	RoleWitness   Role = "witness"   // cosigns both
	RoleDocket    Role = "docket"    // signs warrant and request entries
	RoleDelivery  Role = "delivery"  // signs statements about compartments
	RoleApprover  Role = "approver"  // signs warrants and charters, opens envelopes
	RoleAgency    Role = "agency"    // lodges warrants at the docket
	RoleReader    Role = "reader"    // opens what custodians release
	RolePerson    Role = "person"    // reads sealed bundles, and signs that it did
)

// KeyFile is the content of a key file.
type KeyFile struct {
	Role   Role   `json:"role"`
	Office string `json:"office,omitempty"` // of an approver
	Name   string `json:"name"`             // of the approver, agency, log or witness

	Signing []byte `json:"signing_key,omitempty"` // Ed25519 seed, 32 bytes
	Mail    []byte `json:"mail_key,omitempty"`    // X-Wing private key, 32 bytes
	Reader  []byte `json:"reader_key,omitempty"`  // X-Wing private key, 32 bytes
	Note    string `json:"note_key,omitempty"`    // c2sp.org/signed-note signer
	Label   []byte `json:"label_key,omitempty"`   // VRF private key, 32 bytes
}

// NewKeyFile makes a key for a role. Office is for approvers only.
func NewKeyFile(role Role, office, name string) (*KeyFile, error) {
	k := &KeyFile{Role: role, Office: office, Name: name}
	var err error
	switch role {
	case RoleNotary:
		k.Note, _, err = note.GenerateKey(rand.Reader, name)
	case RoleDirectory:
		k.Label = directory.GenerateLabelSigner().Bytes()
		k.Note, _, err = note.GenerateKey(rand.Reader, name)
	case RoleWitness:
		k.Note, err = witness.GenerateKey(name, rand.Reader)
	case RoleDocket, RoleDelivery, RoleAgency:
		err = k.newSigning()
	case RoleApprover, RolePerson:
		err = k.newSigningAndMail()
	case RoleReader:
		err = k.newReader()
	default:
		err = fmt.Errorf("setup: unsupported: key of role %q", role)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (k *KeyFile) newSigning() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	k.Signing = private.Seed()
	return nil
}

func (k *KeyFile) newSigningAndMail() error {
	mail, err := warrant.NewMailKey()
	if err != nil {
		return err
	}
	k.Mail = mail.Bytes()
	return k.newSigning()
}

func (k *KeyFile) newReader() error {
	key, err := examine.NewReaderKey()
	if err != nil {
		return err
	}
	k.Reader, err = key.Bytes()
	return err
}

// LoadKeyFile reads a key file and demands its role.
func LoadKeyFile(path string, role Role) (*KeyFile, error) {
	var k KeyFile
	if err := load(path, &k); err != nil {
		return nil, err
	}
	if k.Role != role {
		return nil, fmt.Errorf("setup: refused: %s is a key of role %q, not %q", path, k.Role, role)
	}
	if len(k.Signing) != 0 && len(k.Signing) != ed25519.SeedSize {
		return nil, fmt.Errorf("setup: %s: malformed: signing key of %d bytes", path, len(k.Signing))
	}
	return &k, nil
}

// Save writes the key file, mode 0600, and never over another file.
func (k *KeyFile) Save(path string) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("setup: %s: %w", path, err)
	}
	return WriteNew(path, append(b, '\n'), 0o600)
}

// SigningKey returns the Ed25519 private key of the file.
func (k *KeyFile) SigningKey() (ed25519.PrivateKey, error) {
	if len(k.Signing) != ed25519.SeedSize {
		return nil, fmt.Errorf("setup: key of %s %q has no signing key", k.Role, k.Name)
	}
	return ed25519.NewKeyFromSeed(k.Signing), nil
}

// Labels returns the key by which a directory proves its labels.
func (k *KeyFile) Labels() (*directory.LabelSigner, error) { return directory.NewLabelSigner(k.Label) }

// LogVKey returns the public key of a notary's or directory's key file, as policies name it
// (c2sp.org/signed-note): the signer is PRIVATE+KEY+name+id+base64(1 || seed).
func (k *KeyFile) LogVKey() (string, error) {
	fields := strings.SplitN(k.Note, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(fields) != 5 || len(raw) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("setup: key of %s %q: malformed", k.Role, k.Name)
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(fields[2], public)
}
