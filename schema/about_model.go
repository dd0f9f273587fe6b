package schema

// aboutModel is about: the file and its model.
var aboutModel = []Described{
	{"version", String, "Obsolete: the version of an old file format. It selects nothing.", nil},
	{"name", String, "The name of the project; containers, networks and volumes bear it. -p and COMPOSE_PROJECT_NAME win over it.", nil},
	{"include", ShortOrObjects, "Other Compose files whose services, networks, volumes, configs and secrets become part of this one. Each is read in its own directory.", nil},
	{"include[].path", OneOrMany, "The file, or a file and what overrides it. It may be a git or oci:// reference.", nil},
	{"include[].project_directory", String, "The directory that relative paths of the included file start from; by default that of the file.", nil},
	{"include[].env_file", OneOrMany, "Env files with defaults for the variables of the included file; by default .env beside it.", nil},
	{"services", Named, "The services of the project: what containers are made of.", nil},
	{"services.*", Object, "A service: containers that are made alike.", nil},
	{"networks", Named, "The networks that services join. A network called default is joined by services that name none.", nil},
	{"networks.*", Object, "A network of the project.", nil},
	{"volumes", Named, "The named volumes that services mount. They outlive the containers.", nil},
	{"volumes.*", Object, "A volume of the project.", nil},
	{"secrets", Named, "Sensitive data that services get as files.", nil},
	{"secrets.*", Object, "A secret of the project.", nil},
	{"configs", Named, "Configuration that services get as files.", nil},
	{"configs.*", Object, "A config of the project.", nil},
	{"models", Named, "AI models that services use.", nil},
	{"models.*", Object, "An AI model of the project.", nil},
	{"services.*.extends", ObjectOrString, "Takes over the keys of another service, of this file or another; this service's own keys are merged over them.", nil},
	{"services.*.extends.service", String, "The name of the service that is extended.", nil},
	{"services.*.extends.file", String, "The file that has it; this file when not said. It may be a git or oci:// reference.", nil},
	{"services.*.profiles", Strings, "The profiles that the service belongs to. It runs only when one of them is active, or when it is named. Without profiles it always runs.", nil},
}
