package warrant

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// field is one member of the draft: its JSON name and how it goes in and out.
type field struct {
	name string
	set  func(w *Warrant, v json.RawMessage) error
	get  func(w *Warrant) any
}

// fields is the draft, in the order it is written. All are required.
var fields = []field{
	{"id", setHex(func(w *Warrant) []byte { return w.ID[:] }), func(w *Warrant) any { return hex.EncodeToString(w.ID[:]) }},
	{"charter", setHex(func(w *Warrant) []byte { return w.Charter[:] }), func(w *Warrant) any { return hex.EncodeToString(w.Charter[:]) }},
	{"action", setAction, func(w *Warrant) any { return actionWords[w.Action] }},
	{"renews", setRenews, getRenews},
	text("reference", func(w *Warrant) *string { return &w.Reference }),
	text("legal_type", func(w *Warrant) *string { return &w.LegalType }),
	text("case_type", func(w *Warrant) *string { return &w.CaseType }),
	text("jurisdiction", func(w *Warrant) *string { return &w.Jurisdiction }),
	text("legal_entity", func(w *Warrant) *string { return &w.LegalEntity }),
	text("subject", func(w *Warrant) *string { return &w.Subject }),
	text("subject_again", func(w *Warrant) *string { return &w.SubjectAgain }),
	{"direction", setDirection, func(w *Warrant) any { return directionWords[w.Direction] }},
	{"conversations", setConversations, getConversations},
	text("window_start", func(w *Warrant) *string { return &w.WindowStart }),
	text("window_end", func(w *Warrant) *string { return &w.WindowEnd }),
	instant("not_before", func(w *Warrant) *uint64 { return &w.NotBefore }),
	instant("not_after", func(w *Warrant) *uint64 { return &w.NotAfter }),
	text("necessity", func(w *Warrant) *string { return &w.Necessity }),
	text("least_intrusive", func(w *Warrant) *string { return &w.LeastIntrusive }),
	{"reader_key", setReaderKey, func(w *Warrant) any { return base64.StdEncoding.EncodeToString(w.ReaderKey) }},
	{"readers", setReaders, getReaders},
	instant("notice_due", func(w *Warrant) *uint64 { return &w.NoticeDue }),
	flag("is_emergency", IsEmergency),
	flag("is_test", IsTest),
	flag("is_privileged", IsPrivileged),
}

var actionWords = map[Action]string{Disclose: "disclose", Preserve: "preserve"}

var directionWords = map[Direction]string{Sent: "sent", SentAndReceived: "sent and received"}

// ParseDraft reads the JSON form: one object with exactly the members of
// [Warrant.JSON]. Ids are hex, the reader key is base64, times are RFC 3339
// with "Z" or a numeric offset. An unknown, missing or repeated member, a wrong
// type or anything [Parse] would refuse is an error that names the member.
func ParseDraft(draft []byte) (*Warrant, error) {
	if len(draft) > 2*MaxSize {
		return nil, fieldError("draft", "longer than %d bytes", 2*MaxSize)
	}
	values, err := object(draft)
	if err != nil {
		return nil, fieldError("draft", "%v", err)
	}
	w := new(Warrant)
	for _, f := range fields {
		v, ok := values[f.name]
		if !ok {
			return nil, fieldError(f.name, "missing")
		}
		if err := f.set(w, v); err != nil {
			return nil, fieldError(f.name, "%v", err)
		}
		delete(values, f.name)
	}
	for name := range values {
		return nil, fieldError(fmt.Sprintf("%.64q", name), "unknown field")
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	return w, nil
}

// JSON returns the draft form, indented. [ParseDraft] of it gives the warrant
// again, byte for byte the same in binary form.
func (w *Warrant) JSON() []byte {
	var b bytes.Buffer
	b.WriteString("{")
	for i, f := range fields {
		value, err := json.Marshal(f.get(w))
		if err != nil {
			panic("warrant: " + err.Error()) // strings, lists of strings and booleans always marshal
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n  %q: %s", f.name, value)
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}

// object splits one JSON object and refuses a repeated member, of which
// encoding/json would let the last one win.
func object(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	values := make(map[string]json.RawMessage)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if _, seen := values[name]; seen {
			return nil, fmt.Errorf("%.64q given twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("%.64q: %w", name, err)
		}
		values[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return values, nil
}

// str reads a JSON string; null and other types are errors.
func str(v json.RawMessage) (string, error) {
	if len(v) == 0 || v[0] != '"' {
		return "", errors.New("not a string")
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err
}

func text(name string, at func(*Warrant) *string) field {
	set := func(w *Warrant, v json.RawMessage) (err error) {
		*at(w), err = str(v)
		return err
	}
	return field{name, set, func(w *Warrant) any { return *at(w) }}
}

func instant(name string, at func(*Warrant) *uint64) field {
	set := func(w *Warrant, v json.RawMessage) error {
		s, err := str(v)
		if err != nil {
			return err
		}
		t, err := parseTime(s)
		if err != nil {
			return err
		}
		*at(w) = uint64(t.Unix())
		return nil
	}
	return field{name, set, func(w *Warrant) any { return utc(*at(w)) }}
}

func flag(name string, bit Flags) field {
	set := func(w *Warrant, v json.RawMessage) error {
		switch string(v) {
		case "true":
			w.Flags |= bit
		case "false":
		default:
			return errors.New("not true or false")
		}
		return nil
	}
	return field{name, set, func(w *Warrant) any { return w.Flags&bit != 0 }}
}

func setHex(at func(*Warrant) []byte) func(*Warrant, json.RawMessage) error {
	return func(w *Warrant, v json.RawMessage) error {
		b, err := unhex(v)
		if err != nil {
			return err
		}
		if len(b) != len(at(w)) {
			return fmt.Errorf("%d bytes, want %d", len(b), len(at(w)))
		}
		copy(at(w), b)
		return nil
	}
}

func setAction(w *Warrant, v json.RawMessage) (err error) {
	w.Action, err = word(actionWords, v)
	return err
}

func setDirection(w *Warrant, v json.RawMessage) (err error) {
	w.Direction, err = word(directionWords, v)
	return err
}

// word reads one of the words.
func word[K comparable](words map[K]string, v json.RawMessage) (key K, err error) {
	s, err := str(v)
	if err != nil {
		return key, err
	}
	for k, w := range words {
		if s == w {
			return k, nil
		}
	}
	return key, fmt.Errorf("%.64q is none of the words for it", s)
}

// setRenews reads 32 bytes in hex, or nothing for a warrant that renews none.
func setRenews(w *Warrant, v json.RawMessage) error {
	b, err := unhex(v)
	if err != nil {
		return err
	}
	if len(b) != 0 && len(b) != len(w.Renews) || len(b) > 0 && [32]byte(b) == [32]byte{} {
		return errors.New("neither empty nor a commitment of 32 bytes")
	}
	copy(w.Renews[:], b)
	return nil
}

func getRenews(w *Warrant) any {
	if w.Renews == [32]byte{} {
		return ""
	}
	return hex.EncodeToString(w.Renews[:])
}

func setConversations(w *Warrant, v json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil || list == nil {
		return errors.New("not a list")
	}
	for _, item := range list {
		id, err := unhex(item)
		if err != nil {
			return err
		}
		w.Conversations = append(w.Conversations, id)
	}
	return nil
}

func getConversations(w *Warrant) any {
	list := make([]string, len(w.Conversations))
	for i, id := range w.Conversations {
		list[i] = hex.EncodeToString(id)
	}
	return list
}

func setReaderKey(w *Warrant, v json.RawMessage) (err error) {
	w.ReaderKey, err = unbase64(v)
	return err
}

// setReaders reads a list of objects of exactly an id and two keys.
func setReaders(w *Warrant, v json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil || list == nil {
		return errors.New("not a list")
	}
	for i, item := range list {
		x, err := reader(item)
		if err != nil {
			return fmt.Errorf("number %d: %w", i+1, err)
		}
		w.Readers = append(w.Readers, x)
	}
	return nil
}

func reader(v json.RawMessage) (x Reader, err error) {
	values, err := object(v)
	if err != nil {
		return x, err
	}
	if len(values) != 3 {
		return x, errors.New("want id, key and mail_key")
	}
	id, errID := str(values["id"])
	key, errKey := unbase64(values["key"])
	mail, errMail := unbase64(values["mail_key"])
	if err := errors.Join(errID, errKey, errMail); err != nil {
		return x, err
	}
	if len(key) != len(x.Key) {
		return x, fmt.Errorf("key of %d bytes, want %d", len(key), len(x.Key))
	}
	return Reader{id, PersonKey(key), mail}, nil
}

func getReaders(w *Warrant) any {
	list := make([]jsonReader, len(w.Readers))
	for i, x := range w.Readers {
		list[i] = jsonReader{x.ID, x.Key[:], x.Mail}
	}
	return list
}

// jsonReader is how a reader is written.
type jsonReader struct {
	ID   string `json:"id"`
	Key  []byte `json:"key"`
	Mail []byte `json:"mail_key"`
}

func unbase64(v json.RawMessage) ([]byte, error) {
	s, err := str(v)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

func unhex(v json.RawMessage) ([]byte, error) {
	s, err := str(v)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(s)
}

func utc(unix uint64) string {
	return time.Unix(int64(unix), 0).UTC().Format(time.RFC3339)
}
