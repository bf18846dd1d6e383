package etsi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"writ/bundle"
	"writ/internal/wire"
	"writ/warrant"
)

// Order is a warrant in the form of an ETSI message.
type Order struct {
	Header    Header
	Warrant   *warrant.Warrant
	Salt      [32]byte           // of the warrant's commitment; travels with approvals only
	Approvals []warrant.Approval // of its public form, as they stand; not verified here
	Document  bool               // whether the binary form travels too
}

// Counterpart says where a member of a warrant's draft stands in a message.
type Counterpart struct {
	Member string   // of the draft
	Object string   // "auth", the AuthorisationObject, or "task"
	Path   []string // in the object
	Name   string   // of the dictionary, if it is a dictionary's value
	Flag   string   // if it is a flag: its value in the standard's dictionary
}

// Counterparts lists the members for which the standard has a place. All others
// of a draft stand in NationalAuthorisationParameters as "writ:" and their name.
func Counterparts() []Counterpart {
	return []Counterpart{
		{Member: "reference", Object: "auth", Path: []string{"auth:AuthorisationReference"}},
		{Member: "legal_type", Object: "auth", Path: []string{"auth:AuthorisationLegalType"}, Name: "AuthorisationLegalType"},
		{Member: "case_type", Object: "auth", Path: []string{"auth:AuthorisationTypeOfCase"}, Name: "AuthorisationTypeOfCase"},
		{Member: "jurisdiction", Object: "auth", Path: []string{"auth:AuthorisationJurisdiction"}, Name: "AuthorisationJurisdiction"},
		{Member: "legal_entity", Object: "auth", Path: []string{"auth:AuthorisationLegalEntity"}},
		{Member: "not_before", Object: "auth", Path: []string{"auth:AuthorisationTimespan", "auth:StartTime"}},
		{Member: "not_after", Object: "auth", Path: []string{"auth:AuthorisationTimespan", "auth:EndTime"}},
		{Member: "is_emergency", Object: "auth", Path: flagsPath, Flag: "IsEmergency"},
		{Member: "is_test", Object: "auth", Path: flagsPath, Flag: "IsTest"},
		{Member: "subject", Object: "task", Path: []string{"task:RequestDetails", "task:RequestValues", "task:RequestValue", "[0]", "task:Value"}},
		{Member: "window_start", Object: "task", Path: []string{"task:RequestDetails", "task:StartTime"}},
		{Member: "window_end", Object: "task", Path: []string{"task:RequestDetails", "task:EndTime"}},
	}
}

var (
	flagsPath = []string{"auth:AuthorisationFlags", "auth:AuthorisationFlag"}
	ownPath   = []string{"auth:NationalAuthorisationParameters"}
)

// Export writes the message, indented.
func (o *Order) Export() []byte { return bundle.EncodeJSON(o.message()) }

func (o *Order) message() object {
	auth, task := o.authorisation(), o.task()
	at := map[string]object{"auth": auth, "task": task}
	own := o.Header.national("auth", "WritAuthorisationParameters")
	draft := o.draft()
	for _, c := range Counterparts() {
		c.put(at[c.Object], draft[c.Member])
		delete(draft, c.Member)
	}
	for member, v := range draft {
		own["writ:"+member] = v
	}
	auth[ownPath[0]] = own
	objects := []object{auth, task}
	if o.Document {
		objects = append(objects, o.document())
	}
	return o.Header.message(objects)
}

// draft is the warrant's draft as a tree.
func (o *Order) draft() object {
	v, err := parse(o.Warrant.JSON())
	if err != nil {
		panic("etsi: " + err.Error()) // a draft is one JSON object
	}
	return v.(object)
}

func (c *Counterpart) put(o object, v any) {
	switch {
	case c.Flag != "":
		if v == true {
			list, _ := (&reader{root: o}).at(c.Path...).([]any)
			put(o, append(list, entry("ETSI", "AuthorisationFlag", c.Flag)), c.Path...)
		}
	case slices.Contains(c.Path, "[0]"):
		value := object{c.Path[4]: v, "task:FormatType": object{"task:FormatOwner": owner, "task:FormatName": "Account"}}
		put(o, []any{value}, c.Path[:3]...)
	case c.Name != "":
		put(o, entry(owner, c.Name, v.(string)), c.Path...)
	default:
		put(o, v, c.Path...)
	}
}

func (o *Order) authorisation() object {
	a := o.Header.hi1(Authorised, "AuthorisationObject", formatUUID(o.Warrant.ID))
	a["auth:AuthorisationDesiredStatus"] = entry("ETSI", "AuthorisationDesiredStatus", "SubmittedToCSP")
	approvals := []any{}
	for _, x := range o.Approvals {
		approvals = append(approvals, o.approval(x))
	}
	if len(approvals) > 0 {
		a["auth:AuthorisationApprovalDetails"] = approvals
	}
	return a
}

// approval is one approval, with the salt of what it signs. It bears no time: the
// standard's ApprovalTimestamp has no counterpart.
func (o *Order) approval(x warrant.Approval) object {
	h := o.Warrant.Hash()
	own := o.Header.national("common", "WritApproval")
	own["writ:kind"], own["writ:signature"] = int(x.Kind), base64.StdEncoding.EncodeToString(x.Signature)
	own["writ:salt"] = base64.StdEncoding.EncodeToString(o.Salt[:])
	return object{"common:ApprovalType": "WarrantApproval", "common:ApprovalReference": hex.EncodeToString(h[:]),
		"common:ApproverDetails":         object{"common:ApproverName": x.Approver, "common:ApproverRole": x.Office},
		"common:ApprovalNationalDetails": own}
}

// task is what is to be done: disclose, or preserve only.
func (o *Order) task() object {
	kind := "LDTaskObject"
	if o.draft()["action"] == "preserve" {
		kind = "LPTaskObject"
	}
	h, id := o.Warrant.Hash(), formatUUID(o.Warrant.ID)
	t := o.Header.hi1(Task, kind, derived("task", h[:]), id)
	t["task:Reference"] = fmt.Sprintf("%s-%s-%s", o.Header.Sender.Country, o.Header.Sender.Name, id)
	put(t, entry("ETSI", "RequestType", "StoredContentData"), "task:RequestDetails", "task:Type")
	return t
}

// document is the binary form of the warrant, to which approvers' signatures are bound.
func (o *Order) document() object {
	b, h := o.Warrant.Encode(), o.Warrant.Hash()
	sum := sha256.Sum256(b)
	d := o.Header.hi1(Document, "DocumentObject", derived("document", h[:]), formatUUID(o.Warrant.ID))
	d["doc:DocumentReference"], d["doc:DocumentName"] = hex.EncodeToString(h[:]), "Warrant "+o.Warrant.Reference
	d["doc:DocumentType"] = entry(owner, "DocumentType", "WritWarrantV1")
	d["doc:DocumentBody"] = object{"doc:Contents": base64.StdEncoding.EncodeToString(b), "doc:ContentType": "application/octet-stream",
		"doc:Checksum": hex.EncodeToString(sum[:]), "doc:ChecksumType": "SHA-256"}
	return d
}

// IsMessage reports whether JSON looks like a message and not like a draft.
func IsMessage(b []byte) bool {
	v, err := parse(b)
	o, _ := v.(object)
	return err == nil && o["Header"] != nil
}

// Import reads an order. Its errors wrap [wire.ErrMalformed],
// [warrant.ErrUnsupported] or [ErrUnsupported] and name the member.
func Import(b []byte) (*Order, error) {
	tree, err := parse(b)
	if err != nil {
		return nil, err
	}
	o := new(Order)
	if o.Header, err = header(tree); err != nil {
		return nil, err
	}
	list, err := actions(tree)
	if err != nil {
		return nil, err
	}
	if len(list) < 2 || len(list) > 3 {
		return nil, fmt.Errorf("etsi: %w: %d actions; an order is an authorisation, a task and perhaps a document", ErrUnsupported, len(list))
	}
	o.Document = len(list) == 3
	if o.Warrant, err = readWarrant(list[0], list[1]); err != nil {
		return nil, err
	}
	if o.Approvals, o.Salt, err = readApprovals(list[0]); err != nil {
		return nil, err
	}
	want, err := parse(o.Export())
	if err != nil {
		return nil, err
	}
	if err := compare("", tree, want); err != nil {
		return nil, err
	}
	return o, nil
}

// actions returns the objects of a message's actions.
func actions(tree any) (objects []any, err error) {
	path := []string{"Payload", "RequestPayload", "ActionRequests", "ActionRequest"}
	list, ok := (&reader{root: tree}).at(path...).([]any)
	if !ok {
		return nil, malformed(strings.Join(path, " "), "missing, or not a list")
	}
	for i, a := range list {
		o := (&reader{root: a}).at("CREATE", "HI1Object")
		if o == nil {
			return nil, malformed(fmt.Sprintf("%s[%d] CREATE HI1Object", strings.Join(path, " "), i), "missing")
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// readWarrant puts a draft together and reads it.
func readWarrant(auth, task any) (*warrant.Warrant, error) {
	at := map[string]any{"auth": auth, "task": task}
	draft := object{}
	for _, c := range Counterparts() {
		v, err := c.take(at[c.Object])
		if err != nil {
			return nil, err
		}
		draft[c.Member] = v
	}
	own, _ := (&reader{root: auth}).at(ownPath...).(object)
	for _, key := range slices.Sorted(maps.Keys(own)) {
		member, isOwn := strings.CutPrefix(key, "writ:")
		if _, double := draft[member]; isOwn && double {
			return nil, malformed(join(ownPath[0], key), "unknown here")
		} else if isOwn {
			draft[member] = own[key]
		}
	}
	b, err := json.Marshal(draft)
	if err != nil {
		return nil, malformed("", "%v", err)
	}
	w, err := warrant.ParseDraft(b)
	if err != nil {
		return nil, fmt.Errorf("etsi: %w", err)
	}
	return w, nil
}

// take returns the member's value from an object.
func (c *Counterpart) take(o any) (any, error) {
	r := &reader{root: o}
	path := c.Path
	if c.Name != "" {
		path = append(slices.Clone(path), "common:Value")
	}
	if c.Flag != "" {
		list, _ := r.at(path...).([]any)
		return slices.ContainsFunc(list, func(v any) bool {
			return (&reader{root: v}).at("common:Value") == c.Flag
		}), nil
	}
	return r.text(path...), r.err
}

// readApprovals returns the approvals and the salt of the last: that all have the
// same shows when they are written anew.
func readApprovals(auth any) (list []warrant.Approval, salt [32]byte, err error) {
	given, _ := (&reader{root: auth}).at("auth:AuthorisationApprovalDetails").([]any)
	var w wire.Writer
	for i, x := range given {
		r := reader{root: x}
		signature, err := base64.StdEncoding.Strict().DecodeString(r.text("common:ApprovalNationalDetails", "writ:signature"))
		b, saltErr := base64.StdEncoding.Strict().DecodeString(r.text("common:ApprovalNationalDetails", "writ:salt"))
		kind, isNumber := r.at("common:ApprovalNationalDetails", "writ:kind").(json.Number)
		if err != nil || saltErr != nil || copy(salt[:], b) != len(salt) || !isNumber || kind != "1" && kind != "2" {
			r.fail([]string{"common:ApprovalNationalDetails"}, "no kind, signature and salt")
		}
		a := warrant.Approval{Office: r.text("common:ApproverDetails", "common:ApproverRole"),
			Approver: r.text("common:ApproverDetails", "common:ApproverName"), Kind: warrant.Ed25519, Signature: signature}
		if kind == "2" {
			a.Kind = warrant.WebAuthn
		}
		if r.err != nil {
			return nil, salt, fmt.Errorf("approval %d: %w", i+1, r.err)
		}
		w.Fixed(warrant.EncodeApprovals([]warrant.Approval{a}))
	}
	list, err = warrant.ParseApprovals(w.Bytes())
	return list, salt, err
}
