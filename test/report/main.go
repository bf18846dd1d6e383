// Report reads the events of go test -json and prints what a person wants to
// know: a line a package, the output of what failed, and what was left out and
// why. With WRIT_REQUIRE_ALL=1 a test left out is a failure.
//
// A skip whose reason begins with "unsupported" names what the project does not
// claim (such as MLS suites without an implementation here) and is no failure.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of test2json; see go doc cmd/test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// test names one test of one package; the name is empty for the package itself.
type test struct{ pkg, name string }

type report struct {
	output                  map[test][]string
	passed, failed, skipped int
	left                    []string
	unsupported             int
}

func main() {
	r := report{output: map[test][]string{}}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Print(string(line))
			continue
		}
		r.take(e)
	}
	os.Exit(r.close(os.Getenv("WRIT_REQUIRE_ALL") == "1"))
}

func (r *report) take(e event) {
	at := test{e.Package, e.Test}
	switch e.Action {
	case "output", "build-output":
		r.output[at] = append(r.output[at], e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if e.Test == "" {
		r.takePackage(e)
	} else {
		r.takeTest(e)
	}
	delete(r.output, at)
}

func (r *report) takePackage(e event) {
	if e.Action == "skip" {
		return // a package without tests
	}
	fmt.Printf("%-5s %s  %.1f s\n", map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action], e.Package, e.Elapsed)
	if e.Action == "fail" {
		r.print(test{e.Package, ""})
		r.printUnended(e.Package)
	}
}

// printUnended prints what tests of a package said that did not end, such as one that
// hung until its time was over.
func (r *report) printUnended(pkg string) {
	for at := range r.output {
		if at.pkg == pkg && at.name != "" {
			r.failed++
			fmt.Printf("%s did not end:\n", at.name)
			r.print(at)
			delete(r.output, at)
		}
	}
}

func (r *report) takeTest(e event) {
	at := test{e.Package, e.Test}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.print(at)
	case "skip":
		r.skip(at)
	}
}

func (r *report) skip(at test) {
	reason := strings.TrimSpace(strings.Join(slices.DeleteFunc(r.output[at], func(s string) bool {
		s = strings.TrimSpace(s)
		return strings.HasPrefix(s, "=== ") || strings.HasPrefix(s, "--- ")
	}), " "))
	_, why, _ := strings.Cut(reason, ": ")
	if strings.HasPrefix(why, "unsupported") {
		r.unsupported++
		return
	}
	r.skipped++
	r.left = append(r.left, fmt.Sprintf("left out: %s %s: %s", at.pkg, at.name, why))
}

func (r *report) print(at test) {
	for _, s := range r.output[at] {
		fmt.Print(s)
	}
}

// close prints the sums and returns the exit code.
func (r *report) close(requireAll bool) int {
	for _, s := range r.left {
		fmt.Println(s)
	}
	if r.unsupported > 0 {
		fmt.Printf("%d cases name what is unsupported by design\n", r.unsupported)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.failed > 0 || requireAll && r.skipped > 0 {
		return 1
	}
	return 0
}
