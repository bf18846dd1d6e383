package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A rule is a row of mls/rules.md with the check that enforces it.
type rule struct {
	number int
	words  string // as the table has them
	test   string
	file   string
	line   int
	code   []byte // of the file without the check
}

var (
	row   = regexp.MustCompile("(?m)^\\| (\\d+) \\| ([\\d., ]+) \\| (.+) \\| `(.+)` \\| (\\w+) \\|$")
	check = regexp.MustCompile(`(?:invalid|malformed|refused)\(("(?:[^"\\]|\\.)*").*\) // (\d[\d., ]*)`)
)

// rules finds each check in mls whose line names a section of RFC 9420, and the row
// of the table it belongs to. A row with two checks gives two rules.
func rules() (all []rule, err error) {
	table, err := os.ReadFile("mls/rules.md")
	if err != nil {
		return nil, err
	}
	rows := row.FindAllSubmatch(table, -1)
	files, err := filepath.Glob("mls/*.go")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no code of mls: %v", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		some, err := rulesOf(f, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func rulesOf(file string, rows [][][]byte) (all []rule, err error) {
	code, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for n, line := range bytes.Split(code, []byte("\n")) {
		m := check.FindSubmatch(line)
		if m == nil {
			continue
		}
		words, err := strconv.Unquote(string(m[1]))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if string(r[2]) != strings.TrimSpace(string(m[2])) || !strings.Contains(words, string(r[4])) {
				continue
			}
			number, _ := strconv.Atoi(string(r[1]))
			without, err := withoutCheck(file, code, n+1)
			if err != nil {
				return nil, err
			}
			all = append(all, rule{number, string(r[3]), string(r[5]), file, n + 1, without})
		}
	}
	return all, nil
}

// withoutCheck returns the code with the condition of the refusal at a line made
// false. A refusal without a condition is left out, or returned as nil.
func withoutCheck(file string, code []byte, line int) ([]byte, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, code, 0)
	if err != nil {
		return nil, err
	}
	var cond ast.Expr
	var refusal ast.Node
	with, tagged := "", false
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil || set.Position(n.Pos()).Line > line || set.Position(n.End()).Line < line {
			return false
		}
		switch s := n.(type) {
		case *ast.IfStmt:
			if set.Position(s.Body.Pos()).Line <= line && line <= set.Position(s.Body.End()).Line {
				cond, refusal = s.Cond, nil
			}
		case *ast.SwitchStmt:
			tagged = s.Tag != nil
		case *ast.CaseClause:
			if len(s.List) == 1 && !tagged {
				cond, refusal = s.List[0], nil
			}
		case *ast.ExprStmt:
			refusal = s
		case *ast.ReturnStmt:
			if cond == nil {
				refusal, with = s.Results[len(s.Results)-1], "nil"
			}
		}
		return true
	})
	at := func(p token.Pos) int { return set.Position(p).Offset }
	switch {
	case refusal != nil:
		return splice(code, at(refusal.Pos()), at(refusal.End()), with), nil
	case cond != nil:
		return splice(code, at(cond.Pos()), at(cond.End()), "false && ("+string(code[at(cond.Pos()):at(cond.End())])+")"), nil
	}
	return nil, fmt.Errorf("%s:%d: a check without a condition", file, line)
}

func splice(code []byte, from, to int, with string) []byte {
	return bytes.Join([][]byte{code[:from], []byte(with), code[to:]}, nil)
}

// without runs the rule's test without its check and returns how it fails.
func (r rule) without() (how string, err error) {
	out, err := goTest("./mls", r.test, map[string][]byte{r.file: r.code})
	switch {
	case err == nil:
		return "", fmt.Errorf("the test passes without it")
	case !bytes.Contains(out, []byte("--- FAIL: "+r.test)):
		return "", fmt.Errorf("the test does not fail by itself: %v\n%s", err, tail(out))
	}
	return firstFailure(out), nil
}
