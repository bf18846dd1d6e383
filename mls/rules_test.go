package mls

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A rule is a row of rules.md.
type rule struct {
	number        int
	section, says string // says is part of the error's words
	test          string
}

var ruleRow = regexp.MustCompile(`^\| (\d+) \| ([\d., ]+) \| .+ \| ` + "`(.+)`" + ` \| ([A-Za-z0-9]+) \|$`)

func readRules(t *testing.T) (rules []rule) {
	b, err := os.ReadFile("rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if m := ruleRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			n, _ := strconv.Atoi(m[1])
			rules = append(rules, rule{n, m[2], m[3], m[4]})
		}
	}
	return rules
}

// checks finds each refusal in the code with a section of RFC 9420 beside it.
func checks(t *testing.T) map[string][]string {
	check := regexp.MustCompile(`(?:invalid|malformed|refused)\(("(?:[^"\\]|\\.)*").*\) // (\d[\d., ]*)`)
	out := make(map[string][]string) // section -> words
	files, _ := filepath.Glob("*.go")
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range check.FindAllStringSubmatch(string(b), -1) {
			words, err := strconv.Unquote(m[1])
			if err != nil {
				t.Fatal(err)
			}
			section := strings.TrimSpace(m[2])
			if !slices.Contains(out[section], words) {
				out[section] = append(out[section], words)
			}
		}
	}
	return out
}

// testSources are the test functions with all strings in them.
func testSources(t *testing.T) map[string][]string {
	out := make(map[string][]string)
	files, _ := filepath.Glob("*_test.go")
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					s, _ := strconv.Unquote(lit.Value)
					out[fn.Name.Name] = append(out[fn.Name.Name], s)
				}
				return true
			})
		}
	}
	return out
}

// TestRulesTable keeps rules.md complete: every check in the code that names a section
// is one row, every row is a check, and the test it names expects its words.
func TestRulesTable(t *testing.T) {
	rules, tests, code := readRules(t), testSources(t), checks(t)
	known := make(map[string]bool)
	for k, r := range rules {
		if r.number != k+1 {
			t.Errorf("rule %d stands in place %d", r.number, k+1)
		}
		var is []string
		for _, words := range code[r.section] {
			if strings.Contains(words, r.says) {
				is = append(is, words)
			}
		}
		if len(is) != 1 {
			t.Errorf("rule %d, %q, is in the code as %q beside section %s", r.number, r.says, is, r.section)
			continue
		}
		if known[r.section+is[0]] {
			t.Errorf("rule %d stands twice", r.number)
		}
		known[r.section+is[0]] = true
		// The test may have a number where the code has a verb.
		if !slices.ContainsFunc(tests[r.test], func(s string) bool { return strings.Contains(s, r.says) || len(s) > 6 && strings.Contains(r.says, s) }) {
			t.Errorf("rule %d: no %q in %s", r.number, r.says, r.test)
		}
	}
	for section, list := range code {
		for _, words := range list {
			if !known[section+words] {
				t.Errorf("not in rules.md: %s, %q", section, words)
			}
		}
	}
}

// TestFramingRules breaks the rules of RFC 9420 6 and others that a message meets first.
func TestFramingRules(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	to := w.clients[1].g
	public := func(change func(*authenticatedContent)) []byte {
		a := g.frame(false, framedContent{kind: contentCommit, commit: &commit{path: w.path(0)}})
		change(a)
		w.check(a.sign(g.now.signer, g.now.contextBytes))
		a.auth.confirmationTag = make([]byte, 32)
		return marshal(g.now.suite.protectPublic(g.now.secrets.membership, a, g.now.contextBytes))
	}
	flip := func(msg []byte, from int) []byte { msg[from] ^= 1; return msg }
	app := protect(t, w.clients[0], "x")
	m := must(parse(app, decodeMessage))(t).private
	m.senderData[0] ^= 1
	data := marshal(&message{format: wirePrivateMessage, private: m})
	spoiled := g.now.suite.sealPrivate(g.frame(true, framedContent{kind: contentApplication}), messageKey{make([]byte, 32), make([]byte, 12)}, senderData{}, g.now.secrets.senderData, 0)
	twice := KeyPackage{Suite: w.suite, Leaf: w.public.Leaf(0), Extensions: []Extension{{Type: 1}, {Type: 1}}}
	n := w.newcomer()
	p := must(g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}}))(t)
	g.DropPending()
	for _, c := range []struct {
		err  error
		kind error
		why  string
	}{
		{first(to.Stage(public(func(a *authenticatedContent) { a.content.epoch = 7 }))), ErrInvalid, "message of epoch"},
		{first(to.Stage(public(func(a *authenticatedContent) { a.content.sender.index = 3 }))), ErrInvalid, "sender 3 is no member"},
		{first(to.Stage(flip(p.Message, len(p.Message)-1))), ErrInvalid, "membership tag"},
		{second(to.Unprotect(data)), ErrInvalid, "sender data: "},
		{second(to.Unprotect(marshal(spoiled))), ErrInvalid, "ciphertext: "},
		{second(to.Unprotect(p.Message)), ErrInvalid, "not an application message"},
		{first(ParseKeyPackage(twice.Bytes())), ErrMalformed, "extension 0x0001 twice"},
		{first(Client{Key: n.key}.ProposeExternal(g.Context(), Proposal{Add: n.kp})), ErrRefused, "lists no such external sender"},
	} {
		if !errors.Is(c.err, c.kind) || !strings.Contains(fmt.Sprint(c.err), c.why) {
			t.Errorf("error %v, want %q", c.err, c.why)
		}
	}
}

// TestGroupInfoRules breaks the rules of RFC 9420 12.4.3.1 about the GroupInfo and the
// Welcome, by a member who can sign and encrypt.
func TestGroupInfoRules(t *testing.T) {
	w := trio(t, testConfig())
	g := w.clients[0].g
	n := w.newcomer()
	p := must(g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}}))(t)
	m := must(parse(p.Welcome, decodeMessage))(t).welcome
	s := g.now.suite
	open := func() *joining {
		j := &joining{cfg: w.cfg, suite: s, kp: n.kp, secrets: n.private(t), signer: n.key}
		w.check(j.openSecrets(m))
		return j
	}
	blank := open()
	blank.info.signer = 9
	stranger := open()
	stranger.kp = w.newcomer().kp
	sealed := func(change func(*groupInfo)) error {
		j := open()
		change(j.info)
		k := s.welcomeKey(j.group.joiner, j.psk)
		other := *m
		other.encryptedGroupInfo = s.sealAEAD(k.key, k.nonce, nil, marshal(j.info))
		secrets, err := s.encryptWithLabel(n.kp.InitKey, "Welcome", other.encryptedGroupInfo, marshal(j.group))
		w.check(err)
		other.secrets = []encryptedGroupSecrets{{n.kp.Ref(), secrets}}
		return (&joining{cfg: w.cfg, suite: s, kp: n.kp, secrets: n.private(t), signer: n.key}).openSecrets(&other)
	}
	spoiled := func() error {
		j, other := open(), *m
		other.encryptedGroupInfo = make([]byte, 64)
		secrets, err := s.encryptWithLabel(n.kp.InitKey, "Welcome", other.encryptedGroupInfo, marshal(j.group))
		w.check(err)
		other.secrets = []encryptedGroupSecrets{{n.kp.Ref(), secrets}}
		return (&joining{cfg: w.cfg, suite: s, kp: n.kp, secrets: n.private(t), signer: n.key}).openSecrets(&other)
	}
	for _, c := range []struct {
		err error
		why string
	}{
		{blank.openTree(nil), "group info signed by blank leaf"},
		{stranger.openTree(nil), "own leaf is not in the tree"},
		{sealed(func(i *groupInfo) { i.context.Suite = 1 }), "group of suite"},
		{spoiled(), "group info: "},
		{ask(func(*LeafNode) error { return errors.New("unknown to me") }, n.kp.Leaf), "credential: unknown"},
	} {
		if !errors.Is(c.err, ErrInvalid) || !strings.Contains(c.err.Error(), c.why) {
			t.Errorf("error %v, want %q", c.err, c.why)
		}
	}
	w.check(sealed(func(*groupInfo) {}))
}
