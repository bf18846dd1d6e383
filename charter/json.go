package charter

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"writ/internal/wire"
)

// The JSON form is for people who write or read a charter; nothing is signed
// or hashed over it. Keys, signatures and hashes are base64 (standard, padded),
// hashes hexadecimal. Lengths of time are a number and a unit, "24h", "7d",
// "90s" or "15m"; the review date is RFC 3339 in UTC.
type jsonCharter struct {
	Name         string        `json:"name"`
	Jurisdiction string        `json:"jurisdiction"`
	LegalBasis   string        `json:"legal_basis"`
	Language     string        `json:"language"`
	Number       uint32        `json:"number"`
	Previous     hexBytes      `json:"previous,omitempty"`
	Review       *jsonTime     `json:"review,omitempty"`
	Access       string        `json:"access"` // "none" or "accountable"
	Offices      []jsonOffice  `json:"offices,omitempty"`
	Structure    *jsonNode     `json:"structure,omitempty"`
	Approval     []jsonRule    `json:"approval,omitempty"`
	Amendment    []jsonRule    `json:"amendment,omitempty"`
	Privilege    []jsonRule    `json:"privilege,omitempty"`
	Limits       *jsonLimits   `json:"limits,omitempty"`
	CaseTypes    []string      `json:"case_types,omitempty"`
	WebAuthn     *jsonWebAuthn `json:"webauthn,omitempty"`
	Services     *jsonServices `json:"services,omitempty"`
	Policy       string        `json:"policy"`
	Directory    jsonDirectory `json:"directory"`
	Beacon       *jsonBeacon   `json:"beacon,omitempty"`
	Keys         []jsonKey     `json:"keys,omitempty"`
}

type jsonOffice struct {
	ID         string          `json:"id"`
	Title      string          `json:"title"`
	Approvers  []jsonApprover  `json:"approvers,omitempty"`
	Custodians []jsonCustodian `json:"custodians,omitempty"`
}

type jsonApprover struct {
	ID         string          `json:"id"`
	SigningKey []byte          `json:"signing_key,omitempty"`
	Credential *jsonCredential `json:"webauthn,omitempty"`
	MailKey    []byte          `json:"mail_key"`
}

type jsonCredential struct {
	ID        []byte    `json:"credential_id"`
	Algorithm Algorithm `json:"algorithm"`
	PublicKey []byte    `json:"public_key"`
}

type jsonCustodian struct {
	ID         string `json:"id"`
	SigningKey []byte `json:"signing_key"`
	MailKey    []byte `json:"mail_key"`
}

type jsonNode struct {
	Threshold uint8      `json:"threshold,omitempty"`
	Of        []jsonNode `json:"of,omitempty"`
	Office    string     `json:"office,omitempty"`
	Custodian string     `json:"custodian,omitempty"`
}

type jsonRule struct {
	Office    string `json:"office"`
	Threshold uint8  `json:"threshold"`
}

type jsonLimits struct {
	MaxEpochAge     seconds     `json:"max_epoch_age"`
	MaxWindow       seconds     `json:"max_window"`
	MaxWarrantLife  seconds     `json:"max_warrant_life"`
	CapSubjects     uint32      `json:"cap_subjects"`
	CapPeriod       seconds     `json:"cap_period"`
	MaxNoticeDelay  seconds     `json:"max_notice_delay"`
	KeyPeriod       seconds     `json:"key_period"`
	Horizon         seconds     `json:"horizon"`
	ActivationDelay seconds     `json:"activation_delay"`
	Freshness       seconds     `json:"freshness"`
	MaxHold         seconds     `json:"max_hold,omitempty"`
	Urgent          *jsonUrgent `json:"urgent,omitempty"`
	Tariff          *jsonTariff `json:"tariff,omitempty"`
}

type jsonTariff struct {
	Currency       string `json:"currency"`
	PerOpening     uint64 `json:"per_opening"`     // hundredths of the currency
	PerCompartment uint64 `json:"per_compartment"` // likewise
}

type jsonUrgent struct {
	MaxLife      seconds `json:"max_life"`
	ReviewWithin seconds `json:"review_within"`
}

type jsonWebAuthn struct {
	RPID           string   `json:"rp_id"`
	Origins        []string `json:"origins"`
	SyncedPasskeys bool     `json:"synced_passkeys"`
}

type jsonDirectory struct {
	Policy string `json:"policy"`
	VRFKey []byte `json:"vrf_key"`
}

type jsonServices struct {
	DocketKey   []byte `json:"docket_key"`
	DeliveryKey []byte `json:"delivery_key"`
}

type jsonBeacon struct {
	Key     []byte   `json:"key"`
	Genesis jsonTime `json:"genesis"`
	Period  seconds  `json:"period"`
}

type jsonKey struct {
	CharterName string `json:"charter_name"`
	Office      string `json:"office"`
	Custodian   string `json:"custodian"`
	Period      uint32 `json:"period"`
	KEM         string `json:"kem"` // "x-wing" or "mlkem768-p256"
	PublicKey   []byte `json:"public_key"`
	Signature   []byte `json:"signature"`
}

const (
	maxJSON      = 4 * MaxSize
	maxJSONDepth = 16
)

// ParseJSON parses and validates a charter written as JSON, as [Charter.JSON]
// writes it. A member that is unknown, stands twice or is written with capital
// letters is malformed, as is anything after the document.
func ParseJSON(b []byte) (*Charter, error) {
	c, err := parseJSON(b)
	if err != nil {
		return nil, fmt.Errorf("charter: %w: %w", wire.ErrMalformed, err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	// What JSON can say and the encoding can't is left to its parser.
	return Parse(c.Encode())
}

func parseJSON(b []byte) (*Charter, error) {
	if len(b) > maxJSON {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	if err := checkMembers(json.NewDecoder(bytes.NewReader(b)), 0); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var j jsonCharter
	if err := d.Decode(&j); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something after the end")
	}
	return j.charter()
}

// checkMembers reads one value and refuses what package json lets pass: a
// member twice, or matched without regard to capitals.
func checkMembers(d *json.Decoder, depth int) error {
	t, err := d.Token()
	open, nested := t.(json.Delim)
	if err != nil || !nested {
		return err
	}
	if depth > maxJSONDepth {
		return errors.New("nested too deep")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name := t.(string)
			if seen[name] || bytes.ContainsFunc([]byte(name), func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }) {
				return fmt.Errorf("member %q is unknown or stands twice", name)
			}
			seen[name] = true
		}
		if err := checkMembers(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// JSON returns the charter in the form that [ParseJSON] reads, indented.
func (c *Charter) JSON() []byte {
	b, err := json.MarshalIndent(toJSON(c), "", "  ")
	if err != nil {
		panic("charter: marshalling plain structs: " + err.Error())
	}
	return append(b, '\n')
}

// seconds is a length of time, written with the largest unit that divides it.
type seconds uint64

var units = []struct {
	name byte
	size uint64
}{{'d', day}, {'h', 60 * minute}, {'m', minute}, {'s', 1}}

func (s seconds) MarshalText() ([]byte, error) {
	for _, u := range units {
		if n := uint64(s); n%u.size == 0 && (n > 0 || u.size == 1) {
			return append(strconv.AppendUint(nil, n/u.size, 10), u.name), nil
		}
	}
	return nil, errors.New("unreachable: every number divides by one")
}

func (s *seconds) UnmarshalText(b []byte) error {
	for _, u := range units {
		if digits, ok := bytes.CutSuffix(b, []byte{u.name}); ok {
			n, err := strconv.ParseUint(string(digits), 10, 32)
			*s = seconds(n * u.size)
			return err
		}
	}
	return fmt.Errorf("length of time %q: want a number and d, h, m or s", b)
}

// jsonTime is a Unix time, written in RFC 3339.
type jsonTime uint64

func (t jsonTime) MarshalText() ([]byte, error) {
	return []byte(time.Unix(int64(t), 0).UTC().Format(time.RFC3339)), nil
}

func (t *jsonTime) UnmarshalText(b []byte) error {
	at, err := time.Parse("2006-01-02T15:04:05Z", string(b))
	if err != nil {
		return err
	}
	if at.Unix() < 0 {
		return fmt.Errorf("time %s before 1970", b)
	}
	*t = jsonTime(at.Unix())
	return nil
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// copyKey fills a fixed-size key from JSON; absent is zero.
func copyKey(dst, src []byte, what string) error {
	if len(src) != len(dst) && len(src) != 0 {
		return fmt.Errorf("%s of %d bytes, want %d: %s", what, len(src), len(dst), base64.StdEncoding.EncodeToString(src[:min(len(src), 8)]))
	}
	copy(dst, src)
	return nil
}
