package spec_test

import (
	"fmt"
	"strings"
	"testing/fstest"
)

// crowds are files with tens of thousands of one fault, or of what is looked up when there is one: nothing may look at all of them for
// each. A thousand are told, and how many more there are.
func crowds() map[string]func() (files fstest.MapFS, says string) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			if strings.Contains(format, "%") {
				fmt.Fprintf(&b, format, i)
			} else {
				b.WriteString(format)
			}
		}
		return b.String()
	}
	const web = "services:\n  web:\n    image: x\n"
	one := func(says string, text func() string, env ...func() string) func() (fstest.MapFS, string) {
		return func() (fstest.MapFS, string) {
			files := fstest.MapFS{"srv/compose.yaml": {Data: []byte(text())}}
			for _, e := range env {
				files["srv/a.env"] = &fstest.MapFile{Data: []byte(e())}
			}
			return files, says
		}
	}
	all := func(n, of int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  s%d: {image: x, depends_on: [", i)
			for j := range of {
				fmt.Fprintf(&b, "s%d,", j)
			}
			b.WriteString("]}\n")
		}
		return b.String()
	}
	return map[string]func() (fstest.MapFS, string){
		"unknown keys":          one("and 49000 more errors", func() string { return web + repeat(50_000, "    unknown_key_with_a_long_name_%d: 1\n") }),
		"unknown sections":      one("and 49000 more errors", func() string { return web + repeat(50_000, "servcies%d: {}\n") }),
		"services with a fault": one("and 19000 more errors", func() string { return "services:\n" + repeat(20_000, "  s%d: {image: x, prots: [1]}\n") }),
		"too many services":     one("project too large", func() string { return "services:\n" + repeat(50_000, "  s%d: {image: x, user: a}\n") }),
		"unknown services":      one("and 19000 more errors", func() string { return "services:\n" + repeat(20_000, "  s%d: {image: x, depends_on: [none]}\n") }),
		"unknown bases":         one("and 19000 more errors", func() string { return "services:\n" + repeat(20_000, "  s%d: {extends: {service: none}}\n") }),
		"unknown networks": one("and 19000 more errors", func() string {
			return web + "    networks: [" + repeat(20_000, "m%d,") + "]\nnetworks:\n" + repeat(20_000, "  n%d:\n")
		}),
		"a long cycle":       one("and 19981 more", func() string { return "services:\n" + ring(20_000) }),
		"all on all":         one("cycle", func() string { return "services:\n" + all(400, 400) }),
		"duplicate keys":     one("and 48999 more errors", func() string { return web + "    labels:\n" + repeat(50_000, "      a: 1\n") }),
		"merge keys":         one("and 49000 more errors", func() string { return web + "    <<: [" + repeat(50_000, "1,") + "]\n" }),
		"open references":    one("and 49000 more errors", func() string { return web + "    labels:\n" + repeat(50_000, "      a%d: ${\n") }),
		"required variables": one("and 49000 more errors", func() string { return web + "    labels: {" + repeat(50_000, "a%d: \"${A:?say}\", ") + "}\n" }),
		"unset variables": one("and 1 more error", func() string {
			return web + "    x: 1\n    labels: {" + repeat(50_000, "a%d: $U, ") + "}\n" + repeat(1000, "y%d: 1\n")
		}),
		"lines of an env file": one("the rest of the file is not read", func() string { return web + "    env_file: a.env\n" }, func() string { return repeat(100_000, "BAD KEY%d=x\n") }),
		"faulty env files":     one("a.env:1:", func() string { return "services:\n" + repeat(5_000, "  s%d: {image: x, env_file: a.env}\n") }, func() string { return repeat(1000, "BAD KEY%d=x\n") }),
		"large env files":      one("project too large", func() string { return "services:\n" + repeat(2_000, "  s%d: {image: x, env_file: a.env}\n") }, func() string { return repeat(20_000, "KEY%d=x\n") }),
		"missing env files":    one("and 49000 more errors", func() string { return web + "    env_file: [" + repeat(50_000, "n%d.env,") + "]\n" }),
		"missing includes":     one("and 49000 more errors", func() string { return "include: [" + repeat(50_000, "n%d.yaml,") + "]\n" }),
		"bad ports":            one("and 49000 more errors", func() string { return web + "    ports: [" + repeat(50_000, "\"x%d:80\",") + "]\n" }),
		"bad volumes":          one("and 49000 more errors", func() string { return web + "    volumes: [" + repeat(50_000, "\"v%d:b:c:d\",") + "]\n" }),
		"a long key":           one("unknown key", func() string { return web + "    ? " + strings.Repeat("k", 900_000) + "\n    : 1\n" }),
	}
}

// ring is n services of which each depends on the next.
func ring(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  s%d: {image: x, depends_on: [s%d]}\n", i, (i+1)%n)
	}
	return b.String()
}
