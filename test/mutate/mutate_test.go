package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// Every defence stands in the code as the list has it, and every test of the suite
// has one. Whether the test needs it is for go run ./test/mutate.
func TestDefencesStandInTheCode(t *testing.T) {
	t.Chdir("../..")
	defended, tests := map[string]bool{}, map[string]bool{}
	for _, path := range lists {
		list, err := read(path)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %d, %v", path, len(list), err)
		}
		for _, d := range list {
			if pkg, _ := d.at(); pkg == suite {
				defended[d.test] = true
			}
			if _, err := d.changed(); err != nil {
				t.Error(err)
			}
		}
	}
	files, err := filepath.Glob("test/adversary/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\) \{\n\tt\.Parallel\(\)`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = true
			if !defended[m[1]] {
				t.Errorf("%s has no defence that it needs", m[1])
			}
		}
	}
	for test := range defended {
		if !tests[test] {
			t.Errorf("%s is no test of the suite", test)
		}
	}
}

// A list that does not say what it takes out is not taken for one that needs nothing.
func TestListIsRead(t *testing.T) {
	d, err := parse("# words\nTestX\nwhat it is\na/b.go\n-\told\n-\tmore\n+\tnew\nc.go\n-x\n+y")
	want := []hunk{{"a/b.go", "\told\n\tmore\n", "\tnew\n"}, {"c.go", "x\n", "y\n"}}
	if err != nil || d.test != "TestX" || d.words != "what it is" || !slices.Equal(d.hunks, want) {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{"TestX\nwords", "TestX\nwords\n-old"} {
		if d, err := parse(bad); err == nil {
			t.Errorf("%q: %+v", bad, d)
		}
	}
	missing := defence{test: "TestX", hunks: []hunk{{"main.go", "not there\n", "\n"}}}
	if _, err := missing.changed(); err == nil {
		t.Error("a text that is not there is taken out")
	}
	two := []mutant{{test: "A"}, {test: "B"}}
	if got := pick(two, regexp.MustCompile("^B")); len(got) != 1 || got[0].test != "B" {
		t.Errorf("picked %v", got)
	}
}

// Each row of the table of rules has a check that can be taken out, and what is left
// of the file is still Go.
func TestRulesCanBeTakenOut(t *testing.T) {
	t.Chdir("../..")
	list, err := rules()
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, r := range list {
		found[r.number] = true
		if _, err := parser.ParseFile(token.NewFileSet(), r.file, r.code, 0); err != nil {
			t.Errorf("%s:%d: %v", r.file, r.line, err)
		}
	}
	table, err := os.ReadFile("mls/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllSubmatch(table, -1)
	if len(rows) < 90 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		if n, _ := strconv.Atoi(string(r[1])); !found[n] {
			t.Errorf("rule %d has no check", n)
		}
	}
}
