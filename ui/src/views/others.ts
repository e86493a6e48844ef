/** The screens that are not the first one: a part of the program of their own, which comes after the first paint. */
export { ActivityView } from './ActivityView';
export { AgentsView } from './AgentsView';
export { InboxView } from './InboxView';
export { ProjectView } from './ProjectView';
export { SettingsView } from './SettingsView';
export { SystemView } from './SystemView';
export { TeamView } from './TeamView';
