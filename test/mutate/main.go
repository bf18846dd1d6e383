// Mutate shows that tests need the code they are about. It takes each defence of
// test/adversary/defences.txt out, runs the test that is named there, and demands that
// the attack then succeeds; and each of test/mutate/selections.txt, and demands that the
// test fails. With -rules it does the same to each check of mls/rules.md,
// and demands that the test named beside it fails.
//
// No file of the tree is changed: the changed ones are laid over it (go build
// -overlay). A defence whose text is not found exactly once in its file is an
// error, and so is a test of test/adversary that fails without saying "breach".
//
//	go run ./test/mutate                 all defences: some seconds each
//	go run ./test/mutate -run Notary     those whose test, file or words match
//	go run ./test/mutate -rules          all rules of RFC 9420
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

func main() {
	match := flag.String("run", "", "only those whose test, file or words match this regular expression")
	mls := flag.Bool("rules", false, "the rules of mls in place of the defences")
	flag.Parse()
	if err := run(*match, *mls); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		fmt.Fprintln(os.Stderr, "hint: a test that still passes without what it names does not show that it is needed")
		os.Exit(1)
	}
}

// A mutant is code that is taken out: which, for which test, and what happens then.
type mutant struct {
	test, file, words string
	without           func() (how string, err error)
}

func run(match string, mls bool) error {
	only, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	list := defences
	if mls {
		list = checksOfRules
	}
	all, err := list()
	if err != nil {
		return err
	}
	tried := pick(all, only)
	if len(tried) == 0 {
		return fmt.Errorf("nothing matches %q", match)
	}
	var failed []string
	for i, m := range tried {
		start := time.Now()
		how, err := m.without()
		if err != nil {
			how = "ERROR: " + err.Error()
			why, _, _ := strings.Cut(err.Error(), "\n")
			failed = append(failed, fmt.Sprintf("%s (%s): %s: %s", m.test, m.file, m.words, why))
		}
		fmt.Printf("%d/%d %s (%s, %.0f s)\n      without: %s\n      %s\n", i+1, len(tried), m.test, m.file, time.Since(start).Seconds(), m.words, how)
	}
	fmt.Printf("%d taken out one by one: %d needed, %d not shown to be\n", len(tried), len(tried)-len(failed), len(failed))
	if len(failed) > 0 {
		return fmt.Errorf("not shown to be needed:\n  %s", strings.Join(failed, "\n  "))
	}
	return nil
}

// lists are the files of what is taken out.
var lists = []string{suite + "/defences.txt", "test/mutate/selections.txt"}

func defences() (all []mutant, err error) {
	for _, path := range lists {
		list, err := read(path)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			all = append(all, mutant{d.test, d.hunks[0].file, d.words, d.without})
		}
	}
	return all, nil
}

func checksOfRules() (all []mutant, err error) {
	list, err := rules()
	for _, r := range list {
		all = append(all, mutant{r.test, fmt.Sprintf("%s:%d", r.file, r.line), fmt.Sprintf("%d. %s", r.number, r.words), r.without})
	}
	return all, err
}

// pick chooses those whose test, file or words match.
func pick(all []mutant, only *regexp.Regexp) (some []mutant) {
	for _, m := range all {
		if only.MatchString(m.test + " " + m.file + " " + m.words) {
			some = append(some, m)
		}
	}
	return some
}
