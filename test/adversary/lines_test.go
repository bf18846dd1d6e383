package adversary

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Every numbered line of the threat model has a test here that names it, and every
// number named here is a line.
func TestEveryLineHasAnAttacker(t *testing.T) {
	given := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)(?:^\| |\*\*)(TM-\d+)(?: \||\*\*)`).FindAllStringSubmatch(read(t, "../../doc/threat-model.md"), -1) {
		if given[m[1]] {
			t.Errorf("%s is given twice", m[1])
		}
		given[m[1]] = true
	}
	if len(given) < 63 {
		t.Errorf("the threat model has only %d lines", len(given))
	}
	named := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)((?:^//.*\n)+)^func (Test\w+)\(t \*testing\.T\) \{\n\tt\.Parallel\(\)`)
	for _, f := range files {
		for _, m := range comment.FindAllStringSubmatch(read(t, f), -1) {
			lines := regexp.MustCompile(`TM-\d+`).FindAllString(m[1], -1)
			if len(lines) == 0 {
				t.Errorf("%s names no line of the threat model", m[2])
			}
			for _, l := range lines {
				named[l] = true
				if !given[l] {
					t.Errorf("%s names %s, which the threat model does not give", m[2], l)
				}
			}
		}
	}
	for l := range given {
		if !named[l] {
			t.Errorf("no test plays the attacker of %s", l)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
