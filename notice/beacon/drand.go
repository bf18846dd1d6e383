package beacon

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Scheme is drand's name of this package's signatures.
const Scheme = "bls-unchained-g1-rfc9380"

// beaconID is drand's name of a beacon that needs none.
const beaconID = "default"

// info is what drand's HTTP interface says of a beacon.
type info struct {
	Key      string   `json:"public_key"`
	Period   uint64   `json:"period"`
	Genesis  uint64   `json:"genesis_time"`
	Chain    string   `json:"hash"`
	Seed     string   `json:"groupHash"`
	Scheme   string   `json:"schemeID"`
	Metadata metadata `json:"metadata"`
}

type metadata struct {
	ID string `json:"beaconID"`
}

// Chain returns the hash under which drand's HTTP interface names the beacon:
// SHA-256(uint32 period || int64 genesis || key), the chain hash of a beacon with
// an empty seed.
func (b *Beacon) Chain() [32]byte { return b.chain(nil, "") }

func (b *Beacon) chain(seed []byte, id string) [32]byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(b.Period))
	c = binary.BigEndian.AppendUint64(c, b.Genesis)
	c = append(append(append(c, b.Key.Bytes()...), seed...), id...)
	return sha256.Sum256(c)
}

// InfoJSON returns the beacon as drand's /info says it.
func (b *Beacon) InfoJSON() []byte {
	chain := b.Chain()
	return toJSON(info{hex.EncodeToString(b.Key.Bytes()), b.Period, b.Genesis, hex.EncodeToString(chain[:]), "", Scheme, metadata{beaconID}})
}

// round is what drand's HTTP interface says of a round.
type round struct {
	Round      uint64 `json:"round"`
	Randomness string `json:"randomness"`
	Signature  string `json:"signature"`
}

// JSON returns the signature as drand's /public/ROUND says it.
func (s *Signature) JSON() []byte {
	r := s.Randomness()
	return toJSON(round{s.round, hex.EncodeToString(r[:]), hex.EncodeToString(s.Bytes())})
}

// ParseRoundJSON reads what drand's /public/ROUND says, and verifies that it is
// this beacon's signature of the round asked for.
func (k *PublicKey) ParseRoundJSON(b []byte, want uint64) (*Signature, error) {
	var r round
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, malformed("round: %v", err)
	}
	signature, err := hex.DecodeString(r.Signature)
	if err != nil || r.Round != want {
		return nil, invalid("an answer of round %d to the question for %d", r.Round, want)
	}
	return k.Verify(want, signature)
}

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("beacon: %v", err)) // plain structs always marshal
	}
	return b
}
