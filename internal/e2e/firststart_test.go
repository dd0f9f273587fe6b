package e2e

import "testing"

// TestFirstStartOfADatabase: while its image fills a new volume a server runs that answers the usual health check by its socket, and then ends. Who depends on the
// database being healthy is started when others can connect.
func TestFirstStartOfADatabase(t *testing.T) {
	p := newProject(t, theHost(t), "firststart", map[string]string{
		"compose.yaml": `
services:
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: x}
    volumes: ["data:/var/lib/postgresql/data", "./init.sql:/docker-entrypoint-initdb.d/init.sql"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U postgres"], interval: 30s}
  app:
    image: postgres:15
    environment: {PGPASSWORD: x}
    entrypoint: [psql, -h, db, -U, postgres, -c, "SELECT 'answered'"]
    depends_on: {db: {condition: service_healthy}}
volumes:
  data:
`,
		// Longer than it ever is between two quick probes.
		"init.sql": "SELECT pg_sleep(2);",
	})
	p.up()
	contains(t, "the one that connects once", p.ok("wait", "app"), "exited with status code 0")
	contains(t, "logs", p.ok("logs", "app"), "answered")
}
