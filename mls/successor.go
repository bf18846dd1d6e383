package mls

import (
	"bytes"
	"slices"
)

// A ReInit says what comes after a group (RFC 9420 12.1.5).
type ReInit struct {
	GroupID    []byte
	Suite      CipherSuite
	Extensions []Extension // of the group context
}

func (r *ReInit) proposal() *proposal {
	return &proposal{kind: proposalReInit, reInit: reInit{r.GroupID, protocolVersion, r.Suite, r.Extensions}}
}

// Ended returns the ReInit that ended the group, or nil. Messages can still be read
// then, but not sent.
func (g *Group) Ended() *ReInit {
	if r := g.now.reInit; r != nil {
		return &ReInit{r.groupID, r.suite, r.extensions}
	}
	return nil
}

// Reinit begins the successor of a group that ended by a ReInit (RFC 9420 11.2). Suite,
// id and extensions are those of the ReInit; o.Add are new key packages of all its other
// members, and client's key is of the new suite. The commit's Welcome brings the others
// to JoinSuccessor; nobody else needs its Message, but Apply does its Staged.
func (g *Group) Reinit(cfg Config, client Client, o CommitOptions) (*Group, *PendingCommit, error) {
	if err := g.active(); err != nil {
		return nil, nil, err
	}
	r := g.now.reInit
	if r == nil {
		return nil, nil, refused("the group was not reinitialised")
	}
	if r.version != protocolVersion {
		return nil, nil, unsupported("protocol version %d", r.version)
	}
	return g.succeed(cfg, r.suite, r.groupID, r.extensions, client, o)
}

// Branch begins a group of some of the members beside this one (RFC 9420 11.3), with
// new key packages of theirs in o.Add. groupID must be new, client's key of the same
// suite.
func (g *Group) Branch(cfg Config, client Client, groupID []byte, extensions []Extension, o CommitOptions) (*Group, *PendingCommit, error) {
	if err := g.writable(); err != nil {
		return nil, nil, err
	}
	return g.succeed(cfg, g.now.suite.id, groupID, extensions, client, o)
}

func (g *Group) succeed(cfg Config, cs CipherSuite, groupID []byte, extensions []Extension, client Client, o CommitOptions) (*Group, *PendingCommit, error) {
	s, err := client.suite()
	if err != nil {
		return nil, nil, err
	}
	if s.id != cs {
		return nil, nil, invalid("signature key of suite %#04x", uint16(s.id))
	}
	cfg.parent = g
	next, err := client.NewGroup(cfg, groupID, extensions)
	if err != nil {
		return nil, nil, err
	}
	defer func() { next.cfg.parent = nil }()
	c, err := next.Commit(o)
	if err != nil {
		return nil, nil, err
	}
	if err := g.verifySuccessor(c.Staged.next.tree); err != nil {
		next.DropPending()
		return nil, nil, err
	}
	return next, c, nil
}

// JoinSuccessor is Client.Join for a Welcome to a group that a member of this one began
// with Reinit or Branch. It checks that the new group is what was agreed on, and the
// same people, by their credentials (RFC 9420 11.2 and 11.3).
func (g *Group) JoinSuccessor(cfg Config, client Client, welcome []byte, kp *KeyPackage, secrets, ratchetTree []byte) (*Group, *GroupInfo, error) {
	if err := g.active(); err != nil {
		return nil, nil, err
	}
	cfg.parent = g
	j, err := client.openWelcome(cfg, welcome, kp, secrets, ratchetTree)
	if err != nil {
		return nil, nil, err
	}
	defer j.erase()
	j.cfg.parent = nil
	if !slices.ContainsFunc(j.group.psks, pskID.inherited) {
		return nil, nil, invalid("Welcome without the resumption PSK of this group") // 11.2, 11.3
	}
	if err := g.verifyContext(&j.info.context); err != nil {
		return nil, nil, err
	}
	if err := g.verifySuccessor(j.tree); err != nil {
		return nil, nil, err
	}
	e, err := j.enter()
	if err != nil {
		return nil, nil, err
	}
	return newGroup(j.cfg, e), j.info.verified(), nil
}

// verifyContext checks the context of a successor in its first epoch.
func (g *Group) verifyContext(c *GroupContext) error {
	if c.Epoch != 1 {
		return invalid("successor in epoch %d", c.Epoch) // 12.4.3.1
	}
	r := g.now.reInit
	if r == nil {
		if c.Suite != g.now.context.Suite || c.Version != g.now.context.Version {
			return invalid("branch of suite %#04x", uint16(c.Suite)) // 11.3
		}
		return nil
	}
	same := reInit{c.GroupID, c.Version, c.Suite, c.Extensions}
	var want, got writer
	r.encode(&want)
	same.encode(&got)
	if !bytes.Equal(want.buf, got.buf) {
		return invalid("successor is not what the ReInit says") // 11.2
	}
	return nil
}

// verifySuccessor compares the members by their credentials: the same after a ReInit,
// some of them in a branch.
func (g *Group) verifySuccessor(t *ratchetTree) error {
	left := make(map[string]int)
	for _, l := range g.now.tree.members() {
		left[string(marshal(l.Credential))]++
	}
	for i, l := range t.members() {
		name := string(marshal(l.Credential))
		if left[name] == 0 {
			return invalid("member %d of the successor is not in this group", i) // 11.2, 11.3
		}
		if left[name]--; left[name] == 0 {
			delete(left, name)
		}
	}
	if g.now.reInit != nil && len(left) > 0 {
		return invalid("successor lacks %d members", len(left)) // 11.2
	}
	return nil
}

// inherited says whether a PSK is what a successor begins with (RFC 9420 8.4).
func (p pskID) inherited() bool { return p.kind == pskResumption && p.usage != usageApplication }

// bequest names the resumption PSK that a successor of g begins with.
func (g *Group) bequest(nonce []byte) pskID {
	id := pskID{kind: pskResumption, usage: usageBranch, groupID: g.ID(), epoch: g.Epoch(), nonce: nonce}
	if g.now.reInit != nil {
		id.usage = usageReInit
	}
	return id
}

// inherited looks up what a successor begins with.
func (c *Config) inherited(id pskID) ([]byte, error) {
	if c.parent == nil {
		return nil, refused("Welcome of a reinitialised or branched group, for JoinSuccessor")
	}
	want := c.parent.bequest(id.nonce)
	if want.usage == usageBranch {
		want.epoch = id.epoch // any that is remembered
	}
	if !want.same(id) {
		return nil, invalid("successor of another group or epoch") // 11.2, 11.3
	}
	return c.parent.pskKey(id)
}
