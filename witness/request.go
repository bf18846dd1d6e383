package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxBody  = 64 << 10 // bytes
	maxProof = 63       // lines, c2sp.org/tlog-witness
)

// request is the body of add-checkpoint. Its checkpoint is not verified.
type request struct {
	old    int64
	proof  tlog.TreeProof
	origin string
	signed []byte
}

func parseRequest(body []byte) (*request, error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	size, isOld := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(size, 10, 64)
	if !ok || !isOld || err != nil || old < 0 || strconv.FormatInt(old, 10) != size {
		return nil, fmt.Errorf("%w: no old size", errMalformed)
	}
	if len(lines)-1 > maxProof {
		return nil, fmt.Errorf("%w: proof of %d lines", errMalformed, len(lines)-1)
	}
	req := &request{old: old, signed: signed}
	for _, l := range lines[1:] {
		h, err := tlog.ParseHash(l)
		if err != nil {
			return nil, fmt.Errorf("%w: proof line %q", errMalformed, l)
		}
		req.proof = append(req.proof, h)
	}
	req.origin, _, ok = strings.Cut(string(signed), "\n")
	if !ok {
		return nil, fmt.Errorf("%w: no checkpoint", errMalformed)
	}
	return req, nil
}

// openCheckpoint verifies the log's signature and parses the checkpoint. It
// takes only checkpoints without extension lines: those mean nothing here, and a
// cosignature would vouch for them.
func openCheckpoint(signed []byte, v note.Verifier) (c torchwood.Checkpoint, err error) {
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return c, fmt.Errorf("%w: %v", errSignature, err)
	}
	if c, err = torchwood.ParseCheckpoint(n.Text); err != nil {
		return c, fmt.Errorf("%w: %v", errMalformed, err)
	}
	switch {
	case c.Origin != v.Name() || c.Extension != "" || c.String() != n.Text:
		return c, fmt.Errorf("%w: checkpoint of another form", errMalformed)
	case c.N == 0 && c.Hash != tlog.Hash(sha256.Sum256(nil)):
		return c, fmt.Errorf("%w: root hash of an empty tree", errMalformed)
	}
	return c, nil
}

// Key is a witness's signing key.
type Key struct {
	name    string
	private ed25519.PrivateKey
}

const (
	keyPrefix       = "PRIVATE+KEY+"
	typeCosignature = 0x04
)

// GenerateKey returns a new key's text, for a file that only the witness
// reads: PRIVATE+KEY+<name>+<key id>+<base64(0x04 || seed)>, as
// golang.org/x/mod/sumdb/note writes log keys.
func GenerateKey(name string, random io.Reader) (string, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	seed := base64.StdEncoding.EncodeToString(append([]byte{typeCosignature}, private.Seed()...))
	text := fmt.Sprintf("%s%s+%08x+%s", keyPrefix, name, keyID(name, public), seed)
	if _, err := ParseKey(text); err != nil {
		return "", err
	}
	return text, nil
}

// ParseKey parses the text of [GenerateKey].
func ParseKey(text string) (*Key, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), keyPrefix)
	parts := strings.SplitN(rest, "+", 3)
	if !ok || len(parts) != 3 {
		return nil, fmt.Errorf("witness: malformed key")
	}
	seed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(seed) != 1+ed25519.SeedSize || seed[0] != typeCosignature {
		return nil, fmt.Errorf("witness: malformed key")
	}
	k := &Key{name: parts[0], private: ed25519.NewKeyFromSeed(seed[1:])}
	clear(seed)
	if fmt.Sprintf("%08x", keyID(k.name, k.private.Public().(ed25519.PublicKey))) != parts[1] {
		return nil, fmt.Errorf("witness: invalid key: another key id")
	}
	if _, err := torchwood.NewCosignatureSigner(k.name, k.private); err != nil {
		return nil, fmt.Errorf("witness: invalid key: %w", err)
	}
	return k, nil
}

// VKey returns the public key as policies name it (c2sp.org/signed-note).
func (k *Key) VKey() string {
	public := k.private.Public().(ed25519.PublicKey)
	typed := append([]byte{typeCosignature}, public...)
	return fmt.Sprintf("%s+%08x+%s", k.name, keyID(k.name, public), base64.StdEncoding.EncodeToString(typed))
}

// cosign returns the signature line of c2sp.org/tlog-cosignature v1 for a
// checkpoint text: base64 of key id || uint64 time || Ed25519 signature.
func (k *Key) cosign(text string, at time.Time) []byte {
	raw := binary.BigEndian.AppendUint32(nil, keyID(k.name, k.private.Public().(ed25519.PublicKey)))
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Unix()))
	message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text)
	raw = append(raw, ed25519.Sign(k.private, message)...)
	return fmt.Appendf(nil, "— %s %s\n", k.name, base64.StdEncoding.EncodeToString(raw))
}

func keyID(name string, public ed25519.PublicKey) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	return binary.BigEndian.Uint32(h[:4])
}
